package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

const (
	// adoptEvery is how often spools are looked for whose cells are gone, and adoptMost
	// how many are sent side by side, each of which holds messages in memory.
	adoptEvery = 10 * time.Second
	adoptMost  = 8
	// adoptLook is how often it is looked whether a spool is empty, or its cell back.
	adoptLook = 200 * time.Millisecond
)

// adopter sends what cells of a service that are gone have left in their spools
// beside this cell's: a dead cell is replaced under another name, and nobody would.
// A cell that comes back gets its spool back.
type adopter struct {
	service, cell string
	dir           string // of the service's cells' spools
	topics        []string
	members       func(ctx context.Context, service string) ([]fleet.Member, error)
	config        func(dir string, topics []string) spool.Config
	log           *slog.Logger

	mu      sync.Mutex
	sending map[string]*spool.Spool // by cell
	told    map[string]bool         // cells of whose other topics was told
}

// adoptSpools adopts until ctx ends or the function returned is called, which waits
// for its end. What isn't sent by then stays.
func (n *node) adoptSpools(ctx context.Context) (stop func()) {
	if n.adopter == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var adopting sync.WaitGroup
	adopting.Go(func() { n.adopter.run(ctx) })
	return func() {
		cancel()
		adopting.Wait()
	}
}

func (a *adopter) run(ctx context.Context) {
	var sending sync.WaitGroup
	defer sending.Wait()
	for ctx.Err() == nil {
		for _, cell := range a.orphans(ctx) {
			if s := a.open(ctx, cell); s != nil {
				sending.Go(func() { a.send(ctx, cell, s) })
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(adoptEvery):
		}
	}
}

// orphans are the cells of the service that have a folder and aren't registered any
// more; other services may have theirs beside it. While Consul doesn't answer nobody
// is taken for gone.
func (a *adopter) orphans(ctx context.Context) (cells []string) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil // its own folder is there, so it will be read the next time
	}
	members, err := a.members(ctx, a.service)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		registered := slices.ContainsFunc(members, func(m fleet.Member) bool { return m.Name == e.Name() })
		if e.IsDir() && e.Name() != a.cell && strings.HasPrefix(e.Name(), a.service+"-") && !registered {
			cells = append(cells, e.Name())
		}
	}
	return cells
}

// open opens a spool in which messages may wait, unless another process has it or
// wants it.
func (a *adopter) open(ctx context.Context, cell string) *spool.Spool {
	dir := filepath.Join(a.dir, cell)
	topics := a.unsent(cell)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(topics) == 0 || a.sending[cell] != nil || len(a.sending) >= adoptMost || spool.Wanted(dir) {
		return nil
	}
	s, err := spool.Open(ctx, a.config(dir, topics))
	switch {
	case errors.Is(err, spool.ErrInUse):
		return nil
	case err != nil:
		a.log.Error("the spool of a cell that is gone can't be opened", "cell", cell, "folder", dir, "error", err)
		return nil
	}
	a.log.Info("sending what a cell that is gone has left in its spool", "cell", cell, "folder", dir, "messages", s.Depth())
	a.sending[cell] = s
	return s
}

// unsent are the topics of this service for which a cell's folder may hold messages.
func (a *adopter) unsent(cell string) (topics []string) {
	dir := filepath.Join(a.dir, cell)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // it has just been removed
	}
	for _, e := range entries {
		var left *unsent.Error
		if !errors.As(unsent.Check(filepath.Join(dir, e.Name())), &left) {
			continue
		}
		if slices.Contains(a.topics, e.Name()) {
			topics = append(topics, e.Name())
		} else if !a.told[left.Dir] {
			a.told[left.Dir] = true
			a.log.Error("messages of a cell that is gone are not sent: their topic isn't the spool's any more", "cell", cell, "topic", e.Name(), "error", left)
		}
	}
	return topics
}

// send sends what is in a spool. It ends with ctx, when nothing is left, or when the
// cell is back.
func (a *adopter) send(ctx context.Context, cell string, s *spool.Spool) {
	for s.Depth() > 0 && ctx.Err() == nil && !spool.Wanted(filepath.Join(a.dir, cell)) {
		select {
		case <-ctx.Done():
		case <-time.After(adoptLook):
		}
	}
	if err := s.Close(); err != nil {
		a.log.Error("close the spool of a cell that is gone", "cell", cell, "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sending, cell)
}

// depths is how many messages wait in the spools that are sent for others, by cell
// and topic; nil for none.
func (a *adopter) depths() map[string]map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all map[string]map[string]int
	for cell, s := range a.sending {
		if all == nil {
			all = map[string]map[string]int{}
		}
		all[cell] = s.Depths()
	}
	return all
}
