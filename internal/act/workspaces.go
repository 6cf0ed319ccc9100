package act

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Workspaces are a root module in the workspaces of its shards. It may be used by
// several goroutines at once.
type Workspaces struct {
	Base  *Root         // the module in the service's own workspace, shard 0
	Share int           // how many are worked in side by side
	Limit time.Duration // for opening one and reading its state, while the others wait
	// There are the shards that are known to have a workspace, without shard 0; nil
	// until they are listed. It isn't to be touched while the methods are in use.
	There map[int]bool

	mu     sync.Mutex
	opened map[int]*Root
}

// Open returns the root module in the workspace of a shard, which must be there: one
// made anew would be empty, and all cells that it should hold be born a second time.
func (w *Workspaces) Open(ctx context.Context, shard int) (*Root, error) {
	return w.open(ctx, shard, false)
}

// Make is Open for a shard that nothing is held in yet: its workspace is made where it
// isn't there.
func (w *Workspaces) Make(ctx context.Context, shard int) (*Root, error) {
	return w.open(ctx, shard, true)
}

func (w *Workspaces) open(ctx context.Context, shard int, mayMake bool) (*Root, error) {
	if shard == 0 {
		return w.Base, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if root := w.opened[shard]; root != nil {
		return root, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.Limit, ErrTimeout)
	defer cancel()
	if err := w.list(ctx); err != nil {
		return nil, err
	}
	there := w.There[shard]
	if !there && !mayMake {
		return nil, fmt.Errorf("workspace %s of root module %s isn't there: if its cells are gone, make it with terraform workspace new", w.Base.cfg.shardWorkspace(shard), w.Base.cfg.Dir)
	}
	root, err := w.Base.Shard(ctx, shard, there, w.Share)
	if err != nil {
		return nil, err
	}
	if there && len(w.opened) == 0 {
		if err := root.Selects(ctx); err != nil {
			return nil, err
		}
	}
	if w.opened == nil {
		w.opened = map[int]*Root{}
	}
	w.opened[shard], w.There[shard] = root, true
	return root, nil
}

// list finds out once which workspaces there are. The caller holds the mutex.
func (w *Workspaces) list(ctx context.Context) error {
	if w.There != nil {
		return nil
	}
	all, err := w.Base.Shards(ctx)
	if err != nil {
		return fmt.Errorf("list the workspaces: %w", err)
	}
	w.There = map[int]bool{}
	for _, n := range all {
		w.There[n] = true
	}
	return nil
}

// All lists the shards there are, without shard 0.
func (w *Workspaces) All(ctx context.Context) ([]int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.list(ctx); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(w.There)), nil
}

// Any reports whether there are workspaces besides the service's own.
func (w *Workspaces) Any() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.There) > 0
}

// Listed reports whether it is known which workspaces there are.
func (w *Workspaces) Listed() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.There != nil
}
