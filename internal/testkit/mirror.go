package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// AWSProvider returns a filesystem mirror that holds the AWS provider. Without one
// the test isn't run.
func AWSProvider(tb testing.TB) (mirror string) {
	tb.Helper()
	folder, err := FindAWSProvider()
	if err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	return folder
}

// FindAWSProvider is AWSProvider without a test. The provider is too large to be
// fetched for tests, so one that is on this machine is used: where Terraform itself
// looks, or in a folder named tf-plugins where such things lie.
func FindAWSProvider() (mirror string, err error) {
	folders := mirrors()
	for _, folder := range folders {
		found, err := filepath.Glob(filepath.Join(folder, "registry.terraform.io/hashicorp/aws/5.*", runtime.GOOS+"_"+runtime.GOARCH))
		if err == nil && len(found) > 0 {
			return folder, nil
		}
	}
	return "", fmt.Errorf("the AWS provider 5 is in no filesystem mirror of this machine: %s", strings.Join(folders, ", "))
}

// mirrors are the folders in which providers may lie.
func mirrors() []string {
	var all []string
	if home, err := os.UserHomeDir(); err == nil {
		all = append(all, filepath.Join(home, ".terraform.d/plugins"), filepath.Join(home, ".local/share/terraform/plugins"), filepath.Join(home, "tf-plugins"))
	}
	for _, above := range []string{"/usr/share", "/usr/local/share"} {
		all = append(all, filepath.Join(above, "terraform/plugins"), filepath.Join(above, "tf-plugins"))
	}
	return slices.Concat(all, []string{"/opt/tf-plugins", "/tf-plugins"})
}

// With returns the build with a CLI configuration, written into dir, that also uses
// the mirror of another provider.
func (p ProviderBuild) With(tb testing.TB, dir, mirror, source string) ProviderBuild {
	tb.Helper()
	p.CLIConfig = filepath.Join(dir, "terraform.rc")
	config := fmt.Sprintf(`provider_installation {
  filesystem_mirror {
    path    = %q
    include = [%q]
  }
  filesystem_mirror {
    path    = %q
    include = [%q]
  }
}
`, p.Mirror, ProviderSource, mirror, source)
	if err := os.WriteFile(p.CLIConfig, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	return p
}
