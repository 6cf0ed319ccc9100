package act

import (
	"slices"
	"strings"
	"testing"
	"time"
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

// TestOnlyMakeMakesAWorkspace opens a workspace that isn't there: none is made by that.
func TestOnlyMakeMakesAWorkspace(t *testing.T) {
	m := spreadModule(t, "")
	r := m.open()
	roots := &Workspaces{Base: r, Limit: time.Minute}
	listed := func(want ...int) {
		t.Helper()
		if all, err := r.Shards(t.Context()); err != nil || !slices.Equal(all, want) {
			t.Errorf("shards %v, %v, want %v", all, err, want)
		}
	}
	if _, err := roots.Open(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "workspace shard-3 of root module") {
		t.Errorf("Open: %v", err)
	}
	if root, err := roots.Open(t.Context(), 0); err != nil || root != r {
		t.Errorf("Open of the service's own: %v", err)
	}
	listed()
	if _, err := roots.Make(t.Context(), 3); err != nil || !roots.Any() {
		t.Errorf("Make: %v, any %t", err, roots.Any())
	}
	listed(3)
	for _, roots := range []*Workspaces{roots, {Base: r, Limit: time.Minute}} {
		if root, err := roots.Open(t.Context(), 3); err != nil || root.Workspace() != "shard-3" {
			t.Errorf("Open of one that is there: %v", err)
		}
	}
	if _, err := roots.Make(t.Context(), 3); err != nil {
		t.Errorf("Make of one that is there: %v", err)
	}
	listed(3)
}
