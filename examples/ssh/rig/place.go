package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// place is the folder that the example is played through in: copies of it and of
// the modules, as an operator would have them.
//
//	modules/
//	examples/ssh/            homeostat.hcl, web.genome.hcl, terraform/web
//	    bin/                   homeostat and web, which the genome names
//	    secrets/               peers.key, births.key
//	    bundles/               what is published
//	cells/ logs/
type place struct {
	root      string
	terraform string
	build     testkit.ProviderBuild
}

// newPlace builds the programs.
func newPlace(ctx context.Context) (*place, error) {
	fmt.Println("Building homeostat, the provider and the application.")
	p := &place{}
	var err error
	if p.terraform, err = testkit.TerraformBinary(ctx); err != nil {
		return nil, err
	}
	if p.build, err = testkit.BuildProvider(ctx); err != nil {
		return nil, err
	}
	if p.root, err = os.MkdirTemp("", "homeostat-ssh-"); err != nil {
		return nil, fmt.Errorf("make the example's folder: %w", err)
	}
	return p, p.buildPrograms(ctx)
}

func (p *place) in(parts ...string) string {
	return filepath.Join(append([]string{p.root}, parts...)...)
}

func (p *place) example(parts ...string) string {
	return p.in(append([]string{"examples", "ssh"}, parts...)...)
}
func (p *place) module() string    { return p.example("terraform", "web") }
func (p *place) policy() string    { return p.example("homeostat.hcl") }
func (p *place) homeostat() string { return p.in("bin", "homeostat") }

// buildPrograms builds what the cells run: linked whole, since what libraries a
// blank machine has isn't known.
func (p *place) buildPrograms(ctx context.Context) error {
	root, err := testkit.Root()
	if err != nil {
		return err
	}
	for program, source := range map[string]string{"homeostat": "./sidecar", "web": "./examples/ssh/web"} {
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", p.in("bin", program), source)
		command.Dir, command.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	return nil
}

// layOut copies the example anew, as it is before anybody has used it.
func (p *place) layOut(consul string) error {
	root, err := testkit.Root()
	if err != nil {
		return err
	}
	for _, folder := range []string{"modules", "examples", "cells"} {
		if err := os.RemoveAll(p.in(folder)); err != nil {
			return fmt.Errorf("empty the example's folder: %w", err)
		}
	}
	for _, folder := range []string{p.in("logs"), p.in("cells"), p.example("secrets")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("make the example's folder: %w", err)
		}
	}
	for from, to := range map[string]string{
		filepath.Join(root, "modules", "ssh-cells"): p.in("modules", "ssh-cells"), filepath.Join(root, "examples/ssh/terraform"): p.example("terraform"),
		p.in("bin"): p.example("bin"),
	} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return fmt.Errorf("copy %s: %w", from, err)
		}
	}
	for _, file := range []string{"homeostat.hcl", "web.genome.hcl"} {
		text, err := os.ReadFile(filepath.Join(root, "examples/ssh", file))
		if err != nil {
			return fmt.Errorf("copy the example: %w", err)
		}
		if err := p.write(file, strings.ReplaceAll(string(text), "127.0.0.1:8500", consul)); err != nil {
			return err
		}
	}
	return p.write("secrets/peers.key", secret())
}

// secret is a line that nobody can guess.
func secret() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails, as crypto/rand says
	return base64.StdEncoding.EncodeToString(random) + "\n"
}

// write writes a file of the example.
func (p *place) write(name, text string) error {
	mode := os.FileMode(0o644)
	if strings.HasPrefix(name, "secrets/") {
		mode = 0o600
	}
	if err := os.WriteFile(p.example(name), []byte(text), mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// set writes the root module's variables.
func (p *place) set(variables map[string]any) error {
	text, err := json.MarshalIndent(variables, "", "  ")
	if err != nil {
		return fmt.Errorf("write the variables of the root module: %w", err)
	}
	return p.write("terraform/web/terraform.tfvars.json", string(text)+"\n")
}

// environment is what Terraform and homeostat are run in.
func (p *place) environment() []string {
	return append(p.build.Environment(), "HOMEOSTAT_STATE_DIRECTORY="+p.in("cells"), "HOMEOSTAT_POLICY="+p.policy(),
		"PATH="+filepath.Dir(p.terraform)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func (p *place) remove() error {
	if err := os.RemoveAll(p.root); err != nil {
		return fmt.Errorf("remove the example's folder: %w", err)
	}
	return nil
}
