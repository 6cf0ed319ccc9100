package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hc-install/product"
)

// terraformVersion is the version downloaded where none is on PATH.
const terraformVersion = "1.11.4"

// acceptancePath is where the acceptance test framework looks for a Terraform
// before it downloads one.
const acceptancePath = "TF_ACC_TERRAFORM_PATH"

// Terraform returns the path of a terraform program, and lets acceptance tests
// of this process use the same one.
func Terraform(tb testing.TB) string {
	tb.Helper()
	path, err := TerraformBinary(tb.Context())
	if err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	if err := useForAcceptance(path); err != nil {
		tb.Fatal(err)
	}
	return path
}

// useForAcceptance is for the whole process: tests that run in parallel may not
// set their own environment.
func useForAcceptance(path string) error {
	if err := os.Setenv(acceptancePath, path); err != nil {
		return fmt.Errorf("set %s: %w", acceptancePath, err)
	}
	return nil
}

// TerraformBinary returns the path of a terraform program: the one on PATH,
// else the one in the cache, else one downloaded into it.
func TerraformBinary(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("terraform"); err == nil {
		return path, nil
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	dir, err := cached(ctx, cache, "terraform-"+terraformVersion, func(ctx context.Context, into string) error {
		return downloadRelease(ctx, product.Terraform, terraformVersion, into)
	})
	if err != nil {
		return "", fmt.Errorf("get terraform %s (or put one on PATH): %w", terraformVersion, err)
	}
	return filepath.Join(dir, "terraform"), nil
}

// TerraformEnvironment is this process's environment without what would steer
// Terraform, and with the given CLI configuration file.
func TerraformEnvironment(cliConfig string) []string {
	environment := slices.DeleteFunc(os.Environ(), func(setting string) bool {
		name, _, _ := strings.Cut(setting, "=")
		return isForeign(name)
	})
	return append(environment, "TF_CLI_CONFIG_FILE="+cliConfig, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
}
