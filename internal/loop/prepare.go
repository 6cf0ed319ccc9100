package loop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

const preparing = "preparation"

// preparation is what a leader must know before it may act: the record, or
// one made from the state, the shape of an order, and what the state holds.
type preparation struct {
	record fleet.Record
	index  uint64
	found  bool // the record was there
	root   *act.Root
	shape  guard.Shape
	held   map[string]heldCell
	memory memory
	shards *act.Workspaces
	cant   string        // why the service can't be spread, or nothing
	unread map[int]error // shards whose states can't be read
	// cut is a move of cells that can't be finished, whyCut what is in its way.
	cut    *spread.Move
	whyCut error
	// amended: the record doesn't say which states the cells are in.
	amended bool
}

// prepare lets the worker get ready: terraform init, the shape of an order,
// the record.
func (l *Leader) prepare(ctx context.Context) {
	l.start(ctx, preparing, func(ctx context.Context) result {
		r := result{what: preparing}
		r.prepared, r.err = l.getReady(ctx)
		return r
	})
}

func (l *Leader) getReady(ctx context.Context) (*preparation, error) {
	var p preparation
	var err error
	if p.memory, err = recall(ctx, l.Fleet, l.Service.Name); err != nil {
		l.Log.Warn("beginning without what was learned", "error", err)
	}
	record, index, err := l.Fleet.Record(ctx, l.Service.Name)
	switch {
	case err == nil:
		p.record, p.index, p.found = *record, index, true
	case !errors.Is(err, fleet.ErrNoRecord):
		return nil, fmt.Errorf("read the record: %w", err)
	}
	if p.root, err = l.Open(); err != nil {
		return nil, err
	}
	if err := l.mendState(p.root); err != nil {
		return nil, err
	}
	if err := p.root.Init(ctx); err != nil {
		return nil, err
	}
	p.shards = &act.Workspaces{Base: p.root, Share: l.Service.Terraform.ShardsAtOnce, Limit: l.Service.Terraform.Timeout / lateShare}
	if err := l.finishMove(ctx, &p); err != nil {
		return nil, err
	}
	if p.found {
		if err := l.fromRecord(ctx, &p); err != nil {
			return nil, err
		}
		p.holdBack()
		return &p, l.rightState(ctx, &p)
	}
	return &p, l.fromState(ctx, &p)
}

// learn plans how the root module's cells come and go. What is in the way in one shard,
// such as a lock, isn't in all.
func (l *Leader) learn(ctx context.Context, p *preparation) error {
	teachers, err := p.teachers(ctx)
	if err != nil {
		return err
	}
	for _, shard := range teachers[:min(len(teachers), mostTeachers)] {
		if err = l.learnIn(ctx, p, shard); err == nil {
			break
		}
	}
	return err
}

// learnIn learns it by what the state of one shard holds.
func (l *Leader) learnIn(ctx context.Context, p *preparation, shard int) error {
	root, err := p.shards.Open(ctx, shard)
	if err != nil {
		return err
	}
	return l.withShardLock(ctx, root, shard, preparing, func(*stateLock) (err error) {
		_, p.shape, err = root.StateCells(ctx)
		return err
	})
}

// teachers are the shards that the record has cells in and whose workspaces are there, but
// for those of a move that was cut. Shard 0, be it empty, is where there are none.
func (p *preparation) teachers(ctx context.Context) ([]int, error) {
	if !p.record.Spread() {
		return []int{0}, nil
	}
	listed, err := p.shards.All(ctx)
	if err != nil {
		return nil, err
	}
	able := slices.DeleteFunc(append([]int{0}, listed...), func(shard int) bool {
		return !slices.Contains(p.record.Shards, shard) || p.cut != nil && (shard == p.cut.From || shard == p.cut.To)
	})
	if len(able) == 0 {
		able = []int{0}
	}
	return able, nil
}

// fromRecord takes the shape of an order from the record if the root module is
// still the one it was learned from, else learns it anew; then it reads what
// the state holds.
func (l *Leader) fromRecord(ctx context.Context, p *preparation) error {
	if len(p.record.Shape) > 0 {
		if err := json.Unmarshal(p.record.Shape, &p.shape); err != nil {
			l.Log.Warn("the shape in the record can't be read: learning it anew", "error", err)
		}
	}
	if p.shape.Digest != p.root.Module().Digest {
		if err := l.learn(ctx, p); err != nil {
			return fmt.Errorf("learn what an order changes: %w", err)
		}
	}
	return l.readCells(ctx, p)
}

// fromState makes the record that is missing from the cells that the state
// holds. Where there is neither record nor state the service has no cells yet,
// and begins with the policy's min.
//
// The state is read after the plans of the lesson, which wait for its lock: a
// person's apply that still runs may be the very one that makes the cells.
func (l *Leader) fromState(ctx context.Context, p *preparation) error {
	if err := l.learn(ctx, p); err != nil {
		return fmt.Errorf("make the record that is missing from the state: %w", err)
	}
	if err := l.readCells(ctx, p); err != nil {
		return err
	}
	own := l.Holder.Cell
	if _, held := p.held[own]; !held && p.root.Module().Named && l.Holder.Service == l.Service.Name {
		return fmt.Errorf("make the record that is missing from the state: it doesn't hold the leader's own cell %s: the apply that makes it hasn't ended, or it was made otherwise", own)
	}
	p.record = l.recordOf(p.held, p.root.Module().Named)
	p.record.Shards = shardsOf(p.record.Names, p.held)
	next, err := nextNameOf(p.root.Module().Dir, l.Service.Name).read()
	switch {
	case errors.Is(err, errNextName):
		l.Log.Warn("a name of an earlier cell may be used again", "error", err)
	case err != nil:
		return err
	}
	p.record.Next = max(p.record.Next, next)
	l.Log.Info("no record in Consul: made from Terraform's state", "count", p.record.Count, "cells", p.record.Names)
	return nil
}

// recordOf is the record that changes nothing about the cells held.
func (l *Leader) recordOf(held map[string]heldCell, named bool) fleet.Record {
	names := slices.SortedFunc(maps.Keys(held), func(a, b string) int {
		x, _ := cellNumber(l.Service.Name, a)
		y, _ := cellNumber(l.Service.Name, b)
		return cmp.Or(x-y, strings.Compare(a, b))
	})
	next := 0
	for _, n := range names {
		if i, ok := cellNumber(l.Service.Name, n); ok {
			next = max(next, i+1)
		}
	}
	if !named {
		// With a bare count a missing index is a cell to be made again.
		return fleet.Record{Count: next}
	}
	return fleet.Record{Names: names, Count: len(names), Next: max(next, 1)}
}

func (l *Leader) readCells(ctx context.Context, p *preparation) error {
	cells, others, err := p.root.Holds(ctx, p.shape)
	if err != nil {
		return fmt.Errorf("read which cells the state holds: %w", err)
	}
	r := roster{Service: l.Service.Name, Named: p.root.Module().Named}
	p.held = make(map[string]heldCell, len(cells))
	for _, c := range cells {
		p.held[r.name(c.Key)] = heldCell{Tainted: !c.Whole()}
	}
	p.cant = p.root.Unspreadable(p.shape, others)
	if p.root.Unspreadable(guard.Shape{}, nil) != "" {
		return nil // there are no other states
	}
	if p.found && !p.record.Spread() {
		return l.findShards(ctx, p)
	}
	return l.readShards(ctx, p)
}

// halfBorn lists the cells of the record that an earlier order left tainted:
// they lose their names.
func (l *Leader) halfBorn() []string {
	var out []string
	for _, name := range l.record.Names {
		if l.held[name].Tainted {
			out = append(out, name)
		}
	}
	return out
}

// failedIn are the cells of a record whose birth failed and that none of its orders makes.
// The record says so: whoever leads next must not make others under their names, or lives.
func (l *Leader) failedIn(r fleet.Record) []string {
	failed := intersect(l.rosterOf(r).Names, l.failed)
	for _, o := range r.Orders {
		failed = without(failed, newbornNames(o.Add))
	}
	return failed
}

// stillFailed are births that failed before a preparation, be it under an earlier leader,
// and of which no state holds anything: what they may have made is known to nobody, so
// their names are to be given up, and no other cell is made under them. With a bare count
// those half-born are among them, as no name is lost there.
func (l *Leader) stillFailed() []string {
	named := l.roster().Named
	return slices.DeleteFunc(l.failedIn(l.record), func(name string) bool {
		cell, held := l.held[name]
		return held && (named || !cell.Tainted)
	})
}

// births are the keys of the cells that the record orders to be born.
func (l *Leader) births() []guard.Key {
	var names []string
	for _, o := range l.record.Orders {
		names = append(names, newbornNames(o.Add)...)
	}
	return l.roster().keys(names)
}

// takeOver makes the preparation the leader's own.
func (l *Leader) takeOver(r result) {
	if r.err != nil {
		l.prepared = false
		l.failures++
		l.retry = l.Now().Add(retryAfter(l.failures))
		l.trouble = fmt.Sprintf("not ready to act: %v", r.err)
		l.Log.Error("not ready to act; trying again", "error", r.err, "at", l.retry.Format(time.TimeOnly))
		return
	}
	p := r.prepared
	// A name is never used twice, not even when Consul has forgotten it.
	p.record.Next = max(p.record.Next, l.record.Next)
	l.Root, l.record, l.index, l.held = p.root, p.record, p.index, p.held
	l.shards.ready(p, l.Now())
	l.failed = append(l.failed, l.record.Failed...)
	l.failed = append(l.halfBorn(), l.stillFailed()...)
	l.unwritten = l.unwritten || p.amended || l.record.Emptied != l.emptied(l.record) || !slices.Equal(l.record.Failed, l.failedIn(l.record))
	l.takeShape(p.shape.With(l.shape))
	if l.memory.savedAt.IsZero() {
		l.memory = p.memory
	}
	l.readmit()
	l.debt.due = l.mayLag()
	l.shards.oweRead(l)
	l.memory.Book.Only(l.births())
	l.prepared, l.stale = true, false
	// Failures are counted on until an order succeeds or none is left: a provider
	// that dies in each apply is prepared for again and again.
	l.retry, l.trouble = time.Time{}, ""
	l.Log.Info("ready to act", "cells", l.cells())
}
