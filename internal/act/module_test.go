package act

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func inspect(t *testing.T, files map[string]string) Module {
	t.Helper()
	m, diags := Inspect(write(t, files).dir)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return m
}

func TestInspect(t *testing.T) {
	m := inspect(t, map[string]string{
		"main.tf": `
terraform {
  required_version = ">= 1.8"
  backend "s3" {
    bucket       = "b"
    use_lockfile = true
  }
}
variable "desired_count" {
  type    = number
  default = 1
}
variable "cell_names" { type = list(string) }
variable "token" {
  type      = string
  ephemeral = true
}
module "cells" {
  source = "./cells"
  count  = var.desired_count
}
resource "anything" "at_all" { with = unknown.references }
`,
		".terraform.lock.hcl":    "",
		"terraform.tfvars":       "desired_count = 3\nother = 1\n",
		"prod.auto.tfvars":       "desired_count = 4\n",
		"x.auto.tfvars.json":     `{"desired_count": 5}`,
		VariableFile:             `{"desired_count": 6}`,
		"notloaded.tfvars":       "desired_count = 7\n",
		"cells/main.tf":          "",
		"cells/prod.auto.tfvars": "desired_count = 8\n",
	})
	if !m.Named || !m.LockFile || m.Backend != "s3" || m.BackendSettings["use_lockfile"] != "true" || !slices.Equal(m.RequiredVersion, []string{">= 1.8"}) {
		t.Errorf("got %+v", m)
	}
	for name, want := range map[string]Variable{
		"desired_count": {Type: "number", HasDefault: true}, "cell_names": {Type: "list(string)"}, "token": {Type: "string", Ephemeral: true},
	} {
		got := m.Variables[name]
		if got.Range.Start.Line == 0 {
			t.Errorf("%s has no line", name)
		}
		got.Range = want.Range
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if diff := cmp.Diff([]string{"prod.auto.tfvars", "terraform.tfvars", "x.auto.tfvars.json"}, m.OtherSetters("desired_count")); diff != "" {
		t.Error("setters (-want +got)\n" + diff)
	}
}

func TestInspectJSONAndOverrides(t *testing.T) {
	m := inspect(t, map[string]string{
		"main.tf.json":       `{"terraform": {"backend": {"http": {"address": "http://x", "lock_address": "http://x"}}}, "variable": {"desired_count": {"type": "number", "default": 2}}, "module": {"cells": {"source": "./cells"}}}`,
		"z.tf":               `variable "extra" {}`,
		"a_override.tf":      "terraform {\n  backend \"local\" {}\n}",
		"override.tf.json":   `{"variable": {"extra": {"default": 1}}}`,
		".hidden.tf":         `not even HCL {`,
		"emacs-leftover.tf~": `nor this {`,
	})
	if m.Backend != "local" || !m.Variables["desired_count"].HasDefault || m.Variables["desired_count"].Type != "number" || !m.Variables["extra"].HasDefault || m.Calls["cells"] != "./cells" {
		t.Errorf("got %+v", m)
	}
}

func TestInspectFaults(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"syntax":          {map[string]string{"main.tf": "variable \"a\" {\n"}, "main.tf:"},
		"syntax in JSON":  {map[string]string{"main.tf.json": "{"}, "main.tf.json:"},
		"no module":       {map[string]string{"README": ""}, "no root module"},
		"variable file":   {map[string]string{"main.tf": "", "a.auto.tfvars": "a = = 1"}, "a.auto.tfvars:1"},
		"no backend type": {map[string]string{"main.tf": "terraform {\n  backend {}\n}"}, "main.tf:2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := Inspect(write(t, c.files).dir)
			if !diags.HasErrors() || !strings.Contains(diags.Error(), c.want) {
				t.Errorf("got %v, want %q", diags, c.want)
			}
		})
	}
	if _, diags := Inspect(filepath.Join(t.TempDir(), "absent")); !diags.HasErrors() {
		t.Error("an absent directory is no error")
	}
}

func TestLockable(t *testing.T) {
	for _, c := range []struct {
		backend string
		config  map[string]string
		environ map[string]string
		ok      bool
	}{
		{backend: "", ok: true},
		{backend: `backend "local" {}`, ok: true},
		{backend: `backend "consul" { path = "x" }`, ok: true},
		{backend: `backend "consul" { lock = false }`},
		{backend: `backend "pg" {}`, ok: true},
		{backend: `backend "s3" { bucket = "b" }`},
		{backend: `backend "s3" { use_lockfile = true }`, ok: true},
		{backend: `backend "s3" { dynamodb_table = "t" }`, ok: true},
		{backend: `backend "s3" {}`, config: map[string]string{"use_lockfile": "true"}, ok: true},
		{backend: `backend "http" { address = "http://x" }`},
		{backend: `backend "http" { lock_address = "http://x" }`, ok: true},
		{backend: `backend "http" {}`, environ: map[string]string{"TF_HTTP_LOCK_ADDRESS": "http://x"}, ok: true},
		{backend: `backend "oss" {}`},
		{backend: `backend "inmem" {}`},
		{backend: "backend \"remote\" {\n  workspaces { name = \"x\" }\n}"},
		{backend: `cloud {}`},
		{backend: `state_store "x" {}`},
		{backend: `backend "brand_new" {}`},
	} {
		m := inspect(t, map[string]string{"main.tf": "terraform {\n" + c.backend + "\n}"})
		err := m.Lockable(c.config, c.environ)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrBackend) {
			t.Errorf("%s with %v %v: %v", c.backend, c.config, c.environ, err)
		}
	}
}

func TestDigest(t *testing.T) {
	parent := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(parent, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	digest := func() string {
		t.Helper()
		m, diags := Inspect(filepath.Join(parent, "root"))
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return m.Digest
	}
	put("root/main.tf", `module "a" { source = "../modules/a" }`)
	put("modules/a/main.tf", `module "b" { source = "../b" }`)
	put("modules/b/main.tf", "# b")
	before := digest()
	for name, changes := range map[string]bool{
		"root/main2.tf": true, "root/user_data.sh.tftpl": true, "root/.terraform.lock.hcl": true, "root/sub/file": true,
		"modules/a/variables.tf": true, "modules/b/main.tf": true, "root/prod.auto.tfvars": true,
		"root/terraform.tfstate": false, "root/terraform.tfstate.backup": false, "root/terraform.tfstate.d/x/terraform.tfstate": false,
		"root/.terraform/modules/modules.json": false, "root/" + VariableFile: false, "root/crash.log": false, "modules/c/main.tf": false,
	} {
		put(name, "")
		after := digest()
		if (after != before) != changes {
			t.Errorf("%s: changes the digest: %v, want %v", name, after != before, changes)
		}
		before = after
	}
	if err := os.Symlink("nowhere", filepath.Join(parent, "root", "dangling")); err != nil {
		t.Fatal(err)
	}
	if digest() != before {
		t.Error("a link that leads nowhere changes the digest")
	}
}
