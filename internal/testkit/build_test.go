package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTerraformInitFindsTheBuiltProvider(t *testing.T) {
	short(t)
	terraform, provider := Terraform(t), Provider(t)
	dir := t.TempDir()
	config := `terraform {
  required_providers {
    homeostat = { source = "homeostat-io/homeostat", version = "` + ProviderVersion + `" }
  }
}`
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-input=false", "-no-color"}, {"providers", "schema", "-json"}} {
		cmd := exec.CommandContext(t.Context(), terraform, args...)
		cmd.Dir, cmd.Env = dir, provider.Environment()
		output, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("terraform %s: %v\n%s", args[0], err, output)
		}
		if !strings.Contains(string(output), "homeostat-io/homeostat") {
			t.Errorf("terraform %s does not name the provider:\n%s", args[0], output)
		}
	}
}

func TestSidecarIsAProgramThatRuns(t *testing.T) {
	short(t)
	path := Sidecar(t)
	output, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput()
	if err != nil {
		t.Errorf("homeostat version: %v\n%s", err, output)
	}
}

func TestTerraformEnvironmentHasNothingOfAPersonsOwn(t *testing.T) {
	for _, name := range []string{"TF_VAR_desired_count", "TF_CLI_ARGS_plan", "TF_LOG", "TF_WORKSPACE", "CONSUL_HTTP_TOKEN"} {
		t.Setenv(name, "mine")
	}
	t.Setenv("AWS_PROFILE", "kept")
	environment := strings.Join(TerraformEnvironment("/the/file"), "\n")
	if strings.Contains(environment, "mine") {
		t.Errorf("the environment still has a setting of its own:\n%s", environment)
	}
	for _, want := range []string{"AWS_PROFILE=kept", "TF_CLI_CONFIG_FILE=/the/file"} {
		if !strings.Contains(environment, want) {
			t.Errorf("the environment lacks %s", want)
		}
	}
}
