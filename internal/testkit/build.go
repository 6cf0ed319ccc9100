package testkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/google/renameio/v2"
)

const (
	// ProviderSource is the provider's address in full.
	ProviderSource = "registry.terraform.io/homeostat-io/homeostat"
	// ProviderVersion is the version the built provider has in the mirror.
	ProviderVersion = "0.1.0"
)

// ProviderBuild is the provider built from this tree, where terraform init
// finds it without a network.
type ProviderBuild struct {
	Binary    string // the plugin
	Mirror    string // a filesystem mirror that holds it
	CLIConfig string // a Terraform CLI configuration that uses the mirror
}

// Environment is this process's environment for a terraform that is to use the
// build, without a person's own settings for Terraform.
func (p ProviderBuild) Environment() []string { return TerraformEnvironment(p.CLIConfig) }

// Provider builds the provider from this tree.
func Provider(tb testing.TB) ProviderBuild {
	tb.Helper()
	build, err := BuildProvider(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return build
}

// Sidecar builds the homeostat program from this tree and returns its path.
func Sidecar(tb testing.TB) string {
	tb.Helper()
	path, err := BuildSidecar(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// BuildProvider is Provider without a test.
func BuildProvider(ctx context.Context) (ProviderBuild, error) {
	dir, err := buildDirectory()
	if err != nil {
		return ProviderBuild{}, err
	}
	build := ProviderBuild{
		Mirror:    filepath.Join(dir, "mirror"),
		CLIConfig: filepath.Join(dir, "terraform.rc"),
	}
	build.Binary = filepath.Join(build.Mirror, filepath.FromSlash(ProviderSource), ProviderVersion,
		runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-homeostat_v"+ProviderVersion)
	if err := buildOurs(ctx, dir, "./provider", build.Binary); err != nil {
		return ProviderBuild{}, err
	}
	config := fmt.Sprintf(`provider_installation {
  filesystem_mirror {
    path    = %q
    include = [%q]
  }
  direct {
    exclude = [%q]
  }
}
`, build.Mirror, ProviderSource, ProviderSource)
	if err := renameio.WriteFile(build.CLIConfig, []byte(config), 0o644); err != nil {
		return ProviderBuild{}, fmt.Errorf("write terraform's CLI configuration: %w", err)
	}
	return build, nil
}

// BuildSidecar is Sidecar without a test.
func BuildSidecar(ctx context.Context) (string, error) {
	dir, err := buildDirectory()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bin", "homeostat")
	return path, buildOurs(ctx, dir, "./sidecar", path)
}

// buildDirectory is where the programs of this checkout are built. It is in the
// cache so that test processes which need the same program link it once: go
// build leaves a program alone that is up to date, and replaces one that isn't
// by a rename, which processes that run the old one don't notice.
func buildDirectory() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "build-"+digest([]byte(root)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the directory to build in: %w", err)
	}
	return dir, nil
}

// built are the programs that this process has built, by their paths. Go needs a
// second to see that a program is up to date, which many tests would wait for.
var built sync.Map

// buildOurs builds a package of this module, one at a time in a directory and each
// once in a process.
func buildOurs(ctx context.Context, dir, pkg, to string) error {
	if _, is := built.Load(to); is {
		return nil
	}
	root, err := Root()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("create the directory to build in: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	unlock, err := lockFile(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	// As in a release without what only a debugger reads, a third of a program that
	// tests hash, copy and upload many times.
	if err := run(ctx, root, nil, "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", to, pkg); err != nil {
		return err
	}
	built.Store(to, true)
	return nil
}
