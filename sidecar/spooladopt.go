package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

const (
	// adoptEvery is how often spools are looked for whose cells are gone, and adoptMost
	// how many are sent side by side, each of which holds messages in memory. Who
	// deletes a cell's data waits for some of the former.
	adoptEvery = 5 * time.Second
	adoptMost  = 8
	// adoptLook is how often it is looked whether a spool is empty, or its cell back.
	adoptLook = 200 * time.Millisecond
)

// adopter sends what cells of a service that are gone have left in their spools
// beside this cell's: a dead cell is replaced under another name, and nobody would.
// A cell that comes back gets its spool back; the emptied folder of one that won't is
// removed.
type adopter struct {
	service, cell string
	places        []spoolPlace
	topics        []string
	members       func(ctx context.Context, service string) ([]fleet.Member, error)
	record        func(ctx context.Context, service string) (*fleet.Record, uint64, error)
	config        func(dir string, topics []string) spool.Config
	log           *slog.Logger

	mu      sync.Mutex
	sending map[string]*spool.Spool // by cell
	told    map[string]bool         // folders of which was told what is wrong
}

// spoolPlace is a folder with one for each cell of this machine, in which, below within, lies
// the cell's spool.
type spoolPlace struct{ root, within string }

// of is the folder of a cell's spool.
func (p spoolPlace) of(cell string) string {
	if p.within == "" {
		return filepath.Join(p.root, cell)
	}
	return filepath.Join(p.root, cell, p.within, cell)
}

// orphan is the spool of a cell that isn't registered.
type orphan struct{ cell, dir string }

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
		var left []orphan
		for _, o := range a.orphans(ctx) {
			if s := a.open(ctx, o); s != nil {
				sending.Go(func() { a.send(ctx, o, s) })
			} else {
				left = append(left, o)
			}
		}
		a.tidy(ctx, left)
		select {
		case <-ctx.Done():
		case <-time.After(adoptEvery):
		}
	}
}

// orphans are the spools of cells of the service that aren't registered any more; other
// services may have theirs beside them. While Consul doesn't answer nobody is taken
// for gone.
func (a *adopter) orphans(ctx context.Context) (all []orphan) {
	for _, p := range a.places {
		entries, err := os.ReadDir(p.root)
		if err != nil {
			continue // its own folder is there, so it will be read the next time
		}
		for _, e := range entries {
			o := orphan{e.Name(), p.of(e.Name())}
			if !e.IsDir() || o.cell == a.cell || !isCellOf(a.service, o.cell) {
				continue
			}
			if _, err := os.Stat(o.dir); err == nil {
				all = append(all, o)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	members, err := a.members(ctx, a.service)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(o orphan) bool {
		return slices.ContainsFunc(members, func(m fleet.Member) bool { return m.Name == o.cell })
	})
}

// isCellOf reports whether a name is that of a cell of a service: "api-3" of "api", and
// "api-v2-3" of "api-v2" alone.
func isCellOf(service, cell string) bool {
	number, ok := strings.CutPrefix(cell, service+"-")
	_, err := strconv.ParseUint(number, 10, 64)
	return ok && err == nil
}

// tidy removes the folders of spools that are empty, of cells that are gone for good: no
// longer registered, and none of those that the record says are to be.
func (a *adopter) tidy(ctx context.Context, left []orphan) {
	left = slices.DeleteFunc(left, func(o orphan) bool { return unsent.Check(o.dir) != nil })
	if len(left) == 0 {
		return
	}
	record, _, err := a.record(ctx, a.service)
	if err != nil || record.Names == nil { // A bare count has names come back.
		return
	}
	for _, o := range left {
		if slices.Contains(record.Names, o.cell) {
			continue
		}
		if removed, err := spool.Remove(o.dir); err != nil {
			a.tell(o.dir, "the emptied spool of a cell that is gone can't be removed", "cell", o.cell, "folder", o.dir, "error", err)
		} else if removed {
			a.log.Info("removed the emptied spool of a cell that is gone", "cell", o.cell, "folder", o.dir)
		}
	}
}

// tell says once what is wrong with a folder.
func (a *adopter) tell(dir, what string, about ...any) {
	if !a.told[dir] {
		a.told[dir] = true
		a.log.Error(what, about...)
	}
}

// open opens a spool in which messages may wait, unless another process has it or
// wants it.
func (a *adopter) open(ctx context.Context, o orphan) *spool.Spool {
	topics := a.unsent(o)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(topics) == 0 || a.sending[o.cell] != nil || len(a.sending) >= adoptMost || spool.Wanted(o.dir) {
		return nil
	}
	s, err := spool.Open(ctx, a.config(o.dir, topics))
	switch {
	case errors.Is(err, spool.ErrInUse):
		return nil
	case err != nil:
		a.log.Error("the spool of a cell that is gone can't be opened", "cell", o.cell, "folder", o.dir, "error", err)
		return nil
	}
	a.log.Info("sending what a cell that is gone has left in its spool", "cell", o.cell, "folder", o.dir, "messages", s.Depth())
	a.sending[o.cell] = s
	return s
}

// unsent are the topics of this service for which a cell's folder may hold messages.
func (a *adopter) unsent(o orphan) (topics []string) {
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		return nil // it has just been removed
	}
	for _, e := range entries {
		var left *unsent.Error
		if !errors.As(unsent.Check(filepath.Join(o.dir, e.Name())), &left) {
			continue
		}
		if slices.Contains(a.topics, e.Name()) {
			topics = append(topics, e.Name())
		} else {
			a.tell(left.Dir, "messages of a cell that is gone are not sent: their topic isn't the spool's any more. Put it back into spool.topics, or move the folder away if they aren't wanted", "cell", o.cell, "topic", e.Name(), "error", left)
		}
	}
	return topics
}

// send sends what is in a spool. It ends with ctx, when nothing is left, or when the
// cell is back.
func (a *adopter) send(ctx context.Context, o orphan, s *spool.Spool) {
	for s.Depth() > 0 && ctx.Err() == nil && !spool.Wanted(o.dir) {
		select {
		case <-ctx.Done():
		case <-time.After(adoptLook):
		}
	}
	if err := s.Close(); err != nil {
		a.log.Error("close the spool of a cell that is gone", "cell", o.cell, "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sending, o.cell)
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
