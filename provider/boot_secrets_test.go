package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/cloud"
)

// What a birth would stumble over is told before a machine is paid for.
func TestBootSecretsArePlanned(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, make([]byte, fleet.ValueLimit), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(file string) string {
		return regexp.MustCompile(`secrets = .*`).ReplaceAllString(b.config(bootOptions{}), fmt.Sprintf("secrets = { key = %q }", file))
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: factories(), CheckDestroy: b.gone,
		Steps: []resource.TestStep{
			{Config: config(filepath.Join(t.TempDir(), "none")), ExpectError: inTurn([]string{"read the secret key", "no such file", "nothing was changed"})},
			{Config: config(large), ExpectError: spaced("too large for Consul's KV")},
		},
	})
	if n := b.cloud.Booted(); n != 0 {
		t.Errorf("%d machines were booted", n)
	}
}

// The cell's secret is in the machine alone, and the ticket's token in the state and
// the machine's user data.
func TestBirthByBootLeaksNothing(t *testing.T) {
	b := newBootRig(t, cloud.Options{})
	c := newCLI(t, b.rig)
	c.write(b.config(bootOptions{}))
	traced := func(args ...string) {
		t.Helper()
		cmd := c.command(t.Context(), args...)
		// Terraform's own log shows what a terraform_data holds, here the user data.
		cmd.Env = append(cmd.Env, "TF_LOG_PROVIDER=TRACE", "TF_LOG_PATH="+filepath.Join(c.root, "trace.log"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("terraform %v: %v\n%s", args, err, out)
		} else if err := os.WriteFile(filepath.Join(c.root, args[0]+".out"), out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	traced("plan", "-out=first.plan")
	traced("apply", "first.plan")
	b.publish("two")
	traced("plan", "-out=second.plan")
	client, err := b.consul.Client()
	if err != nil {
		t.Fatal(err)
	}
	pairs, _, err := client.KV().List("", nil)
	if err != nil {
		t.Fatal(err)
	}
	token := tokenOf(t, filepath.Join(c.root, "terraform.tfstate"))
	for _, p := range pairs {
		if strings.Contains(string(p.Value), secret) || strings.Contains(string(p.Value), token) {
			t.Errorf("Consul holds a secret at %s", p.Key)
		}
	}
	if found := filesWith(t, c.root, secret); len(found) > 0 {
		t.Errorf("the secret is in %v", found)
	}
	// A plan holds the state that it was made from.
	if found := filesWith(t, c.root, token); !slices.Equal(found, []string{"second.plan", "terraform.tfstate"}) {
		t.Errorf("the token is in %v", found)
	}
	c.must("destroy", "-auto-approve")
	if err := b.gone(nil); err != nil {
		t.Error(err)
	}
}

// filesWith are the files in a folder that hold a text, plans unpacked.
func filesWith(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // a folder, of which Terraform's plugins are
		}
		if plan, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err == nil {
			for _, f := range plan.File {
				part, err := fs.ReadFile(plan, f.Name)
				if err != nil {
					t.Fatal(err)
				}
				content = append(content, part...)
			}
		}
		if strings.Contains(string(content), text) {
			found = append(found, e.Name())
		}
	}
	return found
}

// tokenOf is the ticket's token in a state file.
func tokenOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"token": "([^"]+)"`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the state has no token")
	}
	return string(found[1])
}
