package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

// adoptEvery is how often spools are looked for whose cells are gone.
const adoptEvery = 10 * time.Second

// adoptSpools sends what dead cells of this service have left in their spools beside
// this one's: a dead cell is replaced under another name, and nobody would. The
// function returned waits for that to end after ctx; what isn't sent by then stays.
func (n *node) adoptSpools(ctx context.Context) (wait func()) {
	if n.spool == nil {
		return func() {}
	}
	var adopting sync.WaitGroup
	adopting.Go(func() {
		for ctx.Err() == nil {
			for _, cell := range n.orphans(ctx) {
				n.adoptSpool(ctx, cell)
			}
			select {
			case <-ctx.Done():
			case <-time.After(adoptEvery):
			}
		}
	})
	return adopting.Wait
}

// orphans are the cells whose folders may hold messages and which aren't registered
// any more. While Consul doesn't answer nobody is taken for gone.
func (n *node) orphans(ctx context.Context) (cells []string) {
	entries, err := os.ReadDir(n.spoolDir(""))
	if err != nil {
		return nil // its own folder is there, so it will be read the next time
	}
	members, err := n.leading.fleet.Members(ctx, n.own.Name)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		registered := slices.ContainsFunc(members, func(m fleet.Member) bool { return m.Name == e.Name() })
		var left *unsent.Error
		if e.IsDir() && e.Name() != n.cell.Identity.Name && !registered && errors.As(unsent.Check(n.spoolDir(e.Name())), &left) {
			cells = append(cells, e.Name())
		}
	}
	return cells
}

// adoptSpool sends what is in a spool, unless another process has it. It ends with
// ctx, or when nothing is left.
func (n *node) adoptSpool(ctx context.Context, cell string) {
	dir := n.spoolDir(cell)
	topics, err := filepath.Glob(filepath.Join(dir, "*", "*"+unsent.Suffix))
	if err != nil {
		return // the pattern is right
	}
	for i := range topics {
		topics[i] = filepath.Base(filepath.Dir(topics[i]))
	}
	s, err := spool.Open(ctx, n.spoolConfig(dir, slices.Compact(topics)))
	if errors.Is(err, spool.ErrInUse) {
		return
	}
	if err != nil {
		n.leading.log.Error("the spool of a cell that is gone can't be opened", "cell", cell, "folder", dir, "error", err)
		return
	}
	n.leading.log.Info("sending what a cell that is gone has left in its spool", "cell", cell, "folder", dir, "messages", s.Depth())
	for s.Depth() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	if err := s.Close(); err != nil {
		n.leading.log.Error("close the spool of a cell that is gone", "cell", cell, "error", err)
	}
}
