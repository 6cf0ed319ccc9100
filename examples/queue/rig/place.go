package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// place is the folder that the example is played in:
//
//	bin/                        homeostat and the worker
//	modules/local-cells/        copy of the module
//	examples/queue/             copy of the example: homeostat.hcl, with this run's
//	                            addresses, and terraform/, with settings and state
//	cells/ consul/ kafka/ logs/
type place struct {
	root      string
	temporary bool
	terraform string
	build     testkit.ProviderBuild
}

func newPlace(ctx context.Context, directory string) (place, error) {
	p := place{root: directory, temporary: directory == ""}
	var err error
	if p.temporary {
		p.root, err = os.MkdirTemp("", "homeostat-queue-")
	} else if p.root, err = filepath.Abs(directory); err == nil {
		err = os.MkdirAll(p.root, 0o755)
	}
	if err != nil {
		return p, fmt.Errorf("make the example's folder: %w", err)
	}
	if entries, err := os.ReadDir(p.root); err != nil || len(entries) > 0 {
		return p, fmt.Errorf("%s is not an empty folder; name another one with -dir", p.root)
	}
	for _, folder := range []string{"bin", "cells", "logs"} {
		if err := os.MkdirAll(p.in(folder), 0o755); err != nil {
			return p, fmt.Errorf("make the example's folder: %w", err)
		}
	}
	if p.terraform, err = testkit.TerraformBinary(ctx); err != nil {
		return p, err
	}
	if p.build, err = testkit.BuildProvider(ctx); err != nil {
		return p, err
	}
	return p, p.buildPrograms(ctx)
}

func (p place) in(parts ...string) string {
	return filepath.Join(append([]string{p.root}, parts...)...)
}
func (p place) logs() string      { return p.in("logs") }
func (p place) policy() string    { return p.in("examples", "queue", "homeostat.hcl") }
func (p place) module() string    { return p.in("examples", "queue", "terraform") }
func (p place) homeostat() string { return p.in("bin", "homeostat") }

// remove removes the folder, unless it was asked for by name.
func (p place) remove() error {
	if !p.temporary {
		return nil
	}
	if err := os.RemoveAll(p.root); err != nil {
		return fmt.Errorf("remove the example's folder: %w", err)
	}
	return nil
}

func (p place) buildPrograms(ctx context.Context) error {
	root, err := testkit.Root()
	if err != nil {
		return err
	}
	for program, source := range map[string]string{"homeostat": "./sidecar", "worker": "./examples/queue/worker"} {
		command := exec.CommandContext(ctx, "go", "build", "-o", p.in("bin", program), source)
		command.Dir = root
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	return nil
}

// layOut copies the example and puts this run's addresses into it.
func (p place) layOut(consul, brokers string, workers int) error {
	root, err := testkit.Root()
	if err != nil {
		return err
	}
	for _, folder := range []string{"modules/local-cells", "examples/queue/terraform"} {
		if err := os.CopyFS(p.in(folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			return fmt.Errorf("copy %s: %w", folder, err)
		}
	}
	policy, err := os.ReadFile(filepath.Join(root, "examples/queue/homeostat.hcl"))
	if err != nil {
		return fmt.Errorf("copy the policy: %w", err)
	}
	text := strings.NewReplacer("127.0.0.1:8500", consul, "127.0.0.1:9092", strings.ReplaceAll(brokers, ",", `", "`)).Replace(string(policy))
	if err := os.WriteFile(p.policy(), []byte(text), 0o644); err != nil {
		return fmt.Errorf("copy the policy: %w", err)
	}
	settings, err := json.MarshalIndent(map[string]any{
		"programs": p.in("bin"), "policy": p.policy(), "consul_address": consul, "brokers": brokers,
		"state_directory": p.in("cells"), "initial_count": workers, "rate": workerRate,
		// A leader's Terraform finds the provider that was built here.
		"environment": map[string]string{"TF_CLI_CONFIG_FILE": p.build.CLIConfig},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("write the root module's settings: %w", err)
	}
	return os.WriteFile(filepath.Join(p.module(), "terraform.tfvars.json"), append(settings, '\n'), 0o644)
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

// environment is what Terraform and homeostat are run in.
func (p place) environment(consul string) []string {
	return append(p.build.Environment(), "CONSUL_HTTP_ADDR="+consul,
		"PATH="+filepath.Dir(p.terraform)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// forgetForeign keeps settings of the user's own shell for Consul and Terraform
// from reaching the example's.
func forgetForeign() error {
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, "CONSUL_") || strings.HasPrefix(name, "TF_") || strings.HasPrefix(name, "HOMEOSTAT_") {
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("unset %s: %w", name, err)
			}
		}
	}
	return nil
}
