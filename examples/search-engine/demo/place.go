package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// place is the folder that the demo works in:
//
//	bin/                            homeostat and the example's programs
//	mirror/ terraform.rc            the provider, and where Terraform finds it
//	modules/                        copy of the modules
//	examples/search-engine/         copy of the example:
//	    homeostat.hcl                 the policy, with this run's addresses
//	    terraform/{api,crawler,db,front}/   root modules, with settings and states
//	cells/                          what is known of each cell, and its log
//	data/                           the database cells' folders
//	consul/ kafka/ logs/
//
// and where the crawlers live on machines of their own:
//
//	examples/localstack/            copy of that example, whose policy it is then
//	machines/                       the machines: disks, consoles
type place struct {
	root      string
	temporary bool
	machines  bool
}

// newPlace makes the folder. PostgreSQL's account must be able to enter it.
func newPlace(directory string, machines bool) (place, error) {
	p := place{root: directory, machines: machines}
	var err error
	if directory == "" {
		p.temporary = true
		p.root, err = os.MkdirTemp("", "homeostat-demo-")
	} else if p.root, err = filepath.Abs(directory); err == nil {
		err = os.MkdirAll(p.root, 0o755)
	}
	if err != nil {
		return place{}, fmt.Errorf("make the demo's folder: %w", err)
	}
	entries, err := os.ReadDir(p.root)
	if err != nil {
		return place{}, fmt.Errorf("look into the demo's folder: %w", err)
	}
	if len(entries) > 0 {
		return place{}, fmt.Errorf("%s is not empty; name a new folder with -dir", p.root)
	}
	for _, folder := range []string{"", "bin", "cells", "data", "kafka", "logs"} {
		if err := os.MkdirAll(filepath.Join(p.root, folder), 0o755); err != nil {
			return place{}, fmt.Errorf("make the demo's folder: %w", err)
		}
	}
	return p, os.Chmod(p.root, 0o755)
}

func (p place) in(parts ...string) string {
	return filepath.Join(append([]string{p.root}, parts...)...)
}
func (p place) logs() string    { return p.in("logs") }
func (p place) example() string { return p.in("examples", "search-engine") }
func (p place) cloud() string   { return p.in("examples", "localstack") }
func (p place) policy() string {
	if p.machines {
		return filepath.Join(p.cloud(), "homeostat.hcl")
	}
	return filepath.Join(p.example(), "homeostat.hcl")
}
func (p place) program(name string) string {
	return p.in("bin", name)
}
func (p place) module(service string) string {
	if p.machines && service == "crawler" {
		return filepath.Join(p.cloud(), "terraform")
	}
	return filepath.Join(p.example(), "terraform", service)
}

// remove removes the folder, unless it was asked for by name.
func (p place) remove() error {
	if !p.temporary {
		return nil
	}
	if err := os.RemoveAll(p.root); err != nil {
		return fmt.Errorf("remove the demo's folder: %w", err)
	}
	return nil
}

// The provider as Terraform finds it in a mirror on disk, without a registry.
const (
	providerSource  = "registry.terraform.io/homeostat-io/homeostat"
	providerVersion = "0.1.0"
)

func (p place) cliConfig() string { return p.in("terraform.rc") }

// build builds homeostat, the provider and the programs of the cells, and lets
// Terraform find the provider, and other providers in a mirror that is named.
func (p place) build(ctx context.Context, providers string) error {
	root, err := testkit.Root()
	if err != nil {
		return err
	}
	provider := p.in("mirror", providerSource, providerVersion, runtime.GOOS+"_"+runtime.GOARCH,
		"terraform-provider-homeostat_v"+providerVersion)
	sources := map[string]string{
		p.program("homeostat"): "./sidecar",
		p.program("api"):       "./examples/search-engine/api",
		p.program("crawler"):   "./examples/search-engine/crawler",
		p.program("db"):        "./examples/search-engine/db",
		provider:               "./provider",
	}
	if p.machines {
		sources[p.program("machines")] = "./examples/localstack/machines"
	}
	for program, source := range sources {
		command := exec.CommandContext(ctx, "go", "build", "-o", program, source)
		// Programs that go to machines must not need this host's libraries.
		command.Dir, command.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", source, err, output)
		}
	}
	config := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n", p.in("mirror"))
	if providers != "" {
		config += fmt.Sprintf("  filesystem_mirror {\n    path    = %q\n    exclude = [%q]\n  }\n", providers, providerSource)
	}
	config += "}\n"
	if err := os.WriteFile(p.cliConfig(), []byte(config), 0o644); err != nil {
		return fmt.Errorf("write Terraform's configuration: %w", err)
	}
	return nil
}

// addresses are where this run's servers are, as all reach them: host:port.
type addresses struct{ consul, brokers, web, s3 string }

// installed is where the policies expect the programs that they name.
const installed = "/opt/search-engine/"

// copySources copies modules, root modules and policy out of the repository,
// and puts this run's addresses into the policy, and into the genome.
func (p place) copySources(to addresses) error {
	root, err := testkit.Root()
	if err != nil {
		return err
	}
	folders := []string{"modules", "examples/search-engine/terraform"}
	brokers := strings.ReplaceAll(to.brokers, ",", `", "`)
	files := map[string]map[string]string{
		"examples/search-engine/homeostat.hcl": {"127.0.0.1:8500": to.consul, "127.0.0.1:9092": brokers, installed: p.in("bin") + "/"},
	}
	if p.machines {
		folders = append(folders, "examples/localstack/terraform")
		files = map[string]map[string]string{
			"examples/localstack/homeostat.hcl":      {"10.77.0.1:8500": to.consul, "10.77.0.1:9092": brokers, "10.77.0.1:4566": to.s3, installed: p.in("bin") + "/"},
			"examples/localstack/crawler.genome.hcl": {"10.77.0.1:8500": to.consul, "10.77.0.1:9092": to.brokers, "http://10.77.0.1:8080/": to.web},
		}
	}
	for _, folder := range folders {
		if err := os.CopyFS(p.in(folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			return fmt.Errorf("copy %s: %w", folder, err)
		}
	}
	for file, changes := range files {
		if err := p.copyChanged(root, file, changes); err != nil {
			return err
		}
	}
	return nil
}

// copyChanged copies a file and puts other addresses and folders in the place of those
// it has.
func (p place) copyChanged(root, file string, changes map[string]string) error {
	source, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return fmt.Errorf("copy %s: %w", file, err)
	}
	text := string(source)
	for old, address := range changes {
		if !strings.Contains(text, old) {
			return fmt.Errorf("%s does not have %s, which is to be replaced", file, old)
		}
		text = strings.ReplaceAll(text, old, address)
	}
	if err := os.MkdirAll(filepath.Dir(p.in(file)), 0o755); err != nil {
		return fmt.Errorf("copy %s: %w", file, err)
	}
	return os.WriteFile(p.in(file), []byte(text), 0o644)
}

// set writes a root module's settings.
func (p place) set(service string, settings map[string]any) error {
	content, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return fmt.Errorf("write the settings of %s: %w", service, err)
	}
	return os.WriteFile(filepath.Join(p.module(service), "terraform.tfvars.json"), append(content, '\n'), 0o644)
}

// keepLogs copies the logs of the cells, which go with them.
func (p place) keepLogs() error {
	logs, err := filepath.Glob(p.in("cells", "*", "*", "cell.log"))
	if err != nil {
		return err
	}
	for _, log := range logs {
		content, err := os.ReadFile(log)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.logs(), filepath.Base(filepath.Dir(log))+".log"), content, 0o644)
		}
		if err != nil {
			return fmt.Errorf("keep the log of a cell: %w", err)
		}
	}
	return nil
}
