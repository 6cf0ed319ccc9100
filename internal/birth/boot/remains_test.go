package boot

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// TestRemoveRemains has a machine end at each step of the birth's own tidying.
func TestRemoveRemains(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		there []string
		held  bool
		want  bool // that they are removed
	}{
		"the unit was disabled":        {[]string{unitFile, startFile}, false, true},
		"and removed":                  {[]string{startFile}, false, true},
		"systemd runs it at each boot": {[]string{wantsFile, unitFile, startFile}, false, false},
		"it runs":                      {[]string{unitFile, startFile}, true, false},
		"nothing is left":              {nil, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, path := range test.there {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
				must(t, os.WriteFile(filepath.Join(root, path), nil, 0o600))
			}
			m := &install.Machine{Root: root, Systemd: func(context.Context, ...string) error { return nil }}
			if test.held {
				release, err := (&Newborn{Machine: m}).hold()
				must(t, err)
				defer release()
			}
			must(t, RemoveRemains(t.Context(), m))
			for _, path := range append(test.there, directory) {
				_, err := os.Lstat(filepath.Join(root, path))
				if gone := os.IsNotExist(err); gone != test.want {
					t.Errorf("%s is gone: %t", path, gone)
				}
			}
		})
	}
}
