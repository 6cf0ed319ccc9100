package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Main runs a package's tests in an environment without settings that would
// change what Terraform and Consul do, and afterwards ends every server that
// was started. A package whose tests use servers calls it from TestMain:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
func Main(m *testing.M) {
	if err := cleanEnvironment(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := dismissGuardian(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Shutdown kills every server this process started and removes what they
// wrote into temporary directories. The demo calls it last; Main does too.
func Shutdown() error { return dismissGuardian() }

// cleanEnvironment removes from this process's environment what a person's
// shell may have set for Terraform and Consul, and keeps Terraform and the
// acceptance test framework from downloading or asking for anything.
func cleanEnvironment() error {
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if !isForeign(name) {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("unset %s: %w", name, err)
		}
	}
	if path, err := exec.LookPath("terraform"); err == nil {
		if err := useForAcceptance(path); err != nil {
			return err
		}
	}
	if err := os.Setenv("CHECKPOINT_DISABLE", "1"); err != nil {
		return fmt.Errorf("set CHECKPOINT_DISABLE: %w", err)
	}
	return nil
}

// isForeign tells the variables that steer Terraform or Consul.
func isForeign(name string) bool {
	for _, prefix := range []string{"TF_VAR_", "TF_CLI_", "TF_LOG", "CONSUL_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "TF_WORKSPACE", "TF_INPUT", "TF_DATA_DIR", "TF_PLUGIN_CACHE_DIR", "TF_REATTACH_PROVIDERS":
		return true
	}
	return false
}
