package loop

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// Cells move from one shard to another only because a person wishes it: to spread a
// service whose cells are all in one state, or to gather one that has shrunk. The
// leader does it, between its orders, some cells at a time:
//
//	wish -> note -> both states -> record -> note taken away -> next, until none is left
//
// Cut anywhere, whoever leads next finds the note and finishes that move before it
// looks at what the states hold; where it can't, it leaves both shards alone. A cell is
// never in no state, and nothing of it is touched.

// moveBatch is how many cells move at a time; orders wait for no more than that.
const moveBatch = 100

// moving is what the worker does then.
const moving = "move of cells between shards"

// respread begins the next move, if a person wishes any. It returns what is in the
// way, and whether it began one.
func (l *Leader) respread(ctx context.Context) (trouble string, begun bool) {
	wish, err := l.Fleet.SpreadWished(ctx, l.Service.Name)
	if err != nil || wish == nil {
		return "", false // it is looked for again
	}
	if l.Now().Before(l.shards.moveAgain) {
		return l.shards.moveTrouble, false
	}
	moves, later := l.nextMoves()
	if later {
		return "", false
	}
	if len(moves) == 0 {
		if err := l.lease.EndSpread(ctx); err != nil {
			return fmt.Sprintf("no cell is to be moved, and the wish for it can't be taken away: %v", err), false
		}
		l.Log.Info("no more cells are to be moved between shards", "by", wish.By, "why", cmp.Or(l.shards.cant, "all are where they should be"))
		return "", false
	}
	l.start(ctx, moving, func(ctx context.Context) result {
		r := result{what: moving, moved: &moves[0]}
		r.begun, r.err = l.move(ctx, l.shards.roots, l.shape, moves[0])
		return r
	})
	return "", true
}

// nextMoves are the moves that bring cells where they should be. They have to come
// later while there is anything to do of an order, as in a shard that waits: a cell that
// isn't there yet can't be moved. One that can't be spread is left as it is, unless
// the policy has it gathered in one state.
func (l *Leader) nextMoves() (moves []spread.Move, later bool) {
	size := l.Service.Terraform.ShardSize
	switch {
	case len(l.record.Orders) > 0 || l.pending().Size() > 0 || l.unread():
		return nil, true
	case !l.roster().Named || l.shards.cant != "" && size > 0:
		return nil, false
	default:
		return spread.Moves(l.record.Names, l.shardList(), size, moveBatch), false
	}
}

// shardList is the shard of each name of the record.
func (l *Leader) shardList() []int {
	at, list := l.at(), make([]int, len(l.record.Names))
	for i, name := range l.record.Names {
		list[i] = at[name]
	}
	return list
}

// move notes one move and carries it out. It runs in the worker.
func (l *Leader) move(ctx context.Context, roots *act.Workspaces, shape guard.Shape, m spread.Move) (begun bool, err error) {
	if err := l.lease.PutMove(ctx, fleet.MoveNote{From: m.From, To: m.To, Names: m.Names, Since: l.Now().UTC()}); err != nil {
		return false, fmt.Errorf("note that cells are about to be moved: %w", err)
	}
	return l.moveStates(ctx, roots, shape, m)
}

// moveStates moves the cells from state to state, and waits for no lock, as all else would
// wait for it. It reports whether any of them may have been moved. The second workspace is
// made where it isn't there, so the record must have no cells in it then.
func (l *Leader) moveStates(ctx context.Context, roots *act.Workspaces, shape guard.Shape, m spread.Move) (begun bool, err error) {
	from, err := roots.Open(ctx, m.From)
	if err != nil {
		return false, err
	}
	to, err := roots.Make(ctx, m.To)
	if err != nil {
		return false, err
	}
	for _, root := range []*act.Root{from, to} {
		if err := l.mendState(root); err != nil {
			return false, err
		}
	}
	from, to = from.Hasty(), to.Hasty()
	// Beside the root module, so that it outlives the leader's own cell.
	backup := filepath.Join(from.Module().Dir, ".terraform", "homeostat", "moved")
	err = l.withShardLock(ctx, to, m.To, moving, func(*stateLock) error {
		return l.withShardLock(ctx, from, m.From, moving, func(*stateLock) error {
			now, err := act.MoveCells(ctx, from, to, shape, m.Names, backup, l.mayMove)
			begun = begun || now // it is run twice where a dead leader's lock is broken
			return err
		})
	})
	return begun, err
}

// mayMove reports whether states may still be written: the lock is held, and nobody has
// paused the service meanwhile.
func (l *Leader) mayMove(ctx context.Context) error {
	if err := l.lease.Check(ctx); err != nil {
		return err
	}
	why, err := l.pausedNow(ctx)
	if err == nil && why != "" {
		err = errors.New(why)
	}
	return err
}

// landedMove has the record say where the cells are now.
func (l *Leader) landedMove(ctx context.Context, r result) {
	if r.err != nil {
		l.shards.moveFailures++
		l.shards.moveAgain = l.Now().Add(retryAfter(l.shards.moveFailures))
		l.shards.moveTrouble = fmt.Sprintf("cells can't be moved from shard %d to shard %d; trying again at %s: %v", r.moved.From, r.moved.To, l.shards.moveAgain.Format(time.TimeOnly), r.err)
		l.Log.Error("cells were not moved", "from", r.moved.From, "to", r.moved.To, "error", r.err)
		if r.begun || l.lease.ClearMove(ctx) != nil {
			l.prepared = false // the preparation finishes it: the cells may be in both states
		}
		return
	}
	l.shards.moveFailures = 0
	err := l.putRecord(ctx, l.afterMove(*r.moved))
	if err == nil {
		err = l.lease.ClearMove(ctx)
	}
	if err != nil {
		l.Log.Warn("cells were moved, and that can't be written down: it is looked at anew", "error", err)
		l.prepared = false
		return
	}
	l.Log.Info("cells moved to another state; none was touched", "from", r.moved.From, "to", r.moved.To, "cells", len(r.moved.Names))
}

// afterMove notes which of the cells that the states hold were moved, and returns the
// record that says it.
func (l *Leader) afterMove(m spread.Move) fleet.Record {
	for _, name := range m.Names {
		if c, held := l.held[name]; held {
			c.Shard = m.To
			l.held[name] = c
		}
	}
	next := l.record
	next.Shards = l.shardList()
	next.Shards = movedShards(next, m)
	return next
}

// movedShards are the shards of a record's names after a move; nil where all are in
// shard 0.
func movedShards(r fleet.Record, m spread.Move) []int {
	shards := make([]int, len(r.Names))
	copy(shards, r.Shards)
	moved := setOf(m.Names)
	for i, name := range r.Names {
		if moved[name] {
			shards[i] = m.To
		}
	}
	if len(shards) == 0 || slices.Max(shards) == 0 {
		return nil
	}
	return shards
}

// finishMove finishes a move that was cut, before anything is read from the states. Where
// what is in the way lies in these, only the two shards wait for it.
func (l *Leader) finishMove(ctx context.Context, p *preparation) error {
	note, err := l.Fleet.Move(ctx, l.Service.Name)
	if err != nil {
		return fmt.Errorf("read whether a move of cells was cut: %w", err)
	}
	if note == nil {
		return nil
	}
	m := spread.Move{From: note.From, To: note.To, Names: note.Names}
	var shape guard.Shape
	if err := json.Unmarshal(p.record.Shape, &shape); err != nil {
		return fmt.Errorf("finish a move of cells that was cut: the record doesn't say what belongs to a cell: %w", err)
	}
	if err := l.takeUpMove(ctx, p, shape, m); err != nil {
		if !errors.Is(err, errNoLock) {
			l.Log.Error("a move of cells that was cut can't be finished: both shards are left alone", "from", m.From, "to", m.To, "error", err)
		}
		p.cut, p.whyCut = &m, err
		return nil
	}
	p.record.Shards = movedShards(p.record, m)
	p.record.Emptied = !p.record.Spread() && p.shards.Any()
	if p.index, err = l.lease.PutRecord(ctx, p.record, p.index); err != nil {
		return fmt.Errorf("finish a move of cells that was cut: %w", err)
	}
	if err := l.lease.ClearMove(ctx); err != nil {
		return fmt.Errorf("finish a move of cells that was cut: %w", err)
	}
	l.Log.Info("a move of cells that was cut is finished; none was touched", "from", m.From, "to", m.To, "cells", len(m.Names))
	return nil
}

// errNoLock keeps whoever only looks from moving cells.
var errNoLock = errors.New("whoever leads moves them, and tells in trouble what is in the way")

// takeUpMove moves what a move that was cut has left to move. It makes no workspace that
// isn't listed though the record has cells there: they would be born a second time.
func (l *Leader) takeUpMove(ctx context.Context, p *preparation, shape guard.Shape, m spread.Move) error {
	if l.lease == nil {
		return errNoLock
	}
	listed, err := p.shards.All(ctx)
	if err != nil {
		return err
	}
	known := preparation{record: p.record}
	l.missListed(&known, listed)
	if err := cmp.Or(known.unread[m.From], known.unread[m.To]); err != nil {
		return err
	}
	if m.From > 0 && !slices.Contains(listed, m.From) && !slices.Contains(p.record.Shards, m.From) {
		return nil // it was cut before its note was taken away, and the emptied workspace has been deleted since
	}
	_, err = l.moveStates(ctx, p.shards, shape, m)
	return err
}

// holdBack has the two shards of a move that was cut wait until it is finished, as those
// do that can't be read. Which of them holds a cell is known afterwards.
func (p *preparation) holdBack() {
	if p.cut == nil {
		return
	}
	why := errors.New(whyStuck(p.whyCut))
	if errors.Is(p.whyCut, act.ErrTimeout) {
		why = act.ErrTimeout
	}
	why = fmt.Errorf("cells are being moved from shard %d to shard %d, which can't be finished: %w", p.cut.From, p.cut.To, why)
	p.miss(p.cut.From, why)
	p.miss(p.cut.To, why)
}

// halfMoved reports whether a cell may be in the states of both shards, as one is whose
// move was cut.
func (p *preparation) halfMoved(name string, one, other int) bool {
	return p.cut != nil && min(one, other) == min(p.cut.From, p.cut.To) && max(one, other) == max(p.cut.From, p.cut.To) && slices.Contains(p.cut.Names, name)
}
