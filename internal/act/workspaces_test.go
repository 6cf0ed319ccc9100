package act

import (
	"testing"
)

// TestWorkspacesShareTheFile says whether there are workspaces that read the variable file.
func TestWorkspacesShareTheFile(t *testing.T) {
	var none *Workspaces
	for i, c := range []struct {
		roots *Workspaces
		want  bool
	}{{none, false}, {&Workspaces{}, false}, {&Workspaces{There: map[int]bool{}}, false}, {&Workspaces{There: map[int]bool{3: true}}, true}} {
		if got := c.roots.Any(); got != c.want {
			t.Errorf("%d: %t", i, got)
		}
	}
}
