package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// readShards reads what the states of all shards but the first hold.
func (l *Leader) readShards(ctx context.Context, p *preparation) error {
	all, err := p.shards.All(ctx)
	if err != nil {
		return err
	}
	if p.cant != "" && len(all) > 0 && p.record.Spread() {
		l.Log.Warn("the service is spread, but can't be by what its root module is now", "why", p.cant)
	}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(max(1, l.Service.Terraform.ShardsAtOnce))
	for _, shard := range all {
		g.Go(func() error {
			cells, err := l.readShard(ctx, p, shard)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				l.Log.Error("the state of a shard can't be read: its cells are taken from the record and left alone", "shard", shard, "error", err)
				p.miss(shard, err)
				return nil
			}
			return p.hold(shard, cells)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	l.placeAsHeld(p)
	l.missListed(p, all)
	return p.believe()
}

// placeAsHeld has the record say where cells are, if the states that were read say
// otherwise: it may be an old one that was brought back. A cell that it has in a state
// which couldn't be read may be there, too.
func (l *Leader) placeAsHeld(p *preparation) {
	shards := slices.Clone(p.record.Shards)
	for i, shard := range shards {
		if c, held := p.held[p.record.Names[i]]; held && p.unread[shard] == nil {
			shards[i] = c.Shard
		}
	}
	if !slices.Equal(shards, p.record.Shards) {
		l.Log.Warn("the record has cells in other states than they are in: put right", "before", p.record.Shards, "now", shards)
		p.record.Shards, p.amended = shards, true
	}
}

// readShard reads which cells the state of a shard holds.
func (l *Leader) readShard(ctx context.Context, p *preparation, shard int) ([]act.Cell, error) {
	root, err := p.shards.Open(ctx, shard)
	if err != nil {
		return nil, err
	}
	if err := l.mendState(root); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.shards.Limit, act.ErrTimeout)
	defer cancel()
	cells, err := root.Cells(ctx, p.shape)
	if err != nil {
		return nil, fmt.Errorf("read which cells the state of shard %d holds: %w", shard, err)
	}
	return cells, nil
}

// findShards finds out whether there are workspaces of shards, though the record says that
// all cells are in one state. It may be an old one that was brought back: who isn't in
// that state is looked for in theirs, or would be born a second time. Where it can't be
// told whether there are any, the service is led as if there were none only if nobody
// could be in them.
func (l *Leader) findShards(ctx context.Context, p *preparation) error {
	if _, err := p.shards.All(ctx); err != nil {
		l.Log.Warn("can't tell whether there are workspaces of shards", "error", err)
		p.miss(0, err) // in the place of them all
		return p.believe()
	}
	if !p.shards.Any() {
		return nil
	}
	if err := l.readShards(ctx, p); err != nil {
		return err
	}
	p.record.Shards = shardsOf(p.record.Names, p.held)
	if p.amended = p.record.Spread(); p.amended {
		l.Log.Warn("the record says that all cells are in one state, and they are in several: put right", "spread", p.record.Shards)
	}
	return nil
}

// miss notes a shard whose state can't be read.
func (p *preparation) miss(shard int, err error) {
	if p.unread == nil {
		p.unread = map[int]error{}
	}
	p.unread[shard] = err
}

// missListed notes as not read those shards in which the record has cells that no state
// holds, and whose workspaces aren't listed: made anew they would be empty, and those cells
// be born a second time. One in which all cells are still to be born may never have been
// made.
func (l *Leader) missListed(p *preparation, listed []int) {
	unborn := unmade(p.record)
	for i, shard := range p.record.Shards {
		if shard > 0 && !slices.Contains(listed, shard) && !unborn[p.record.Names[i]] && p.unread[shard] == nil {
			workspace := policy.ShardWorkspace(l.Service.Terraform.Workspace, shard)
			l.Log.Error("the workspace of a shard isn't there: its cells are taken from the record and left alone", "shard", shard, "workspace", workspace)
			p.miss(shard, fmt.Errorf("the record has cells in workspace %s, which isn't there: if they are gone, make it with terraform workspace new", workspace))
		}
	}
}

// believe takes from the record which cells the shards hold that can't be read. Whether
// those are there that an order makes isn't known: they are still to be made. Nor is it of
// those whose birth failed: they wait until it can be read. All others are
// whole, as far as is known. A record that names no shards is believed where the states
// that could be read hold all cells, those that are to be removed included.
func (p *preparation) believe() error {
	if len(p.unread) == 0 {
		return nil
	}
	unborn, known := unmade(p.record), slices.Clone(p.record.Names)
	for _, o := range p.record.Orders {
		known = append(known, o.Remove...)
	}
	if err := p.holdCut(unborn); err != nil {
		return err
	}
	if !p.record.Spread() {
		lost := slices.ContainsFunc(known, func(name string) bool { _, held := p.held[name]; return !held && !unborn[name] })
		if lost || !p.found {
			return fmt.Errorf("find the cells that the record doesn't place: %w", errors.Join(slices.Collect(maps.Values(p.unread))...))
		}
		p.unread = nil // they were emptied
		return nil
	}
	for i, shard := range p.record.Shards {
		name := p.record.Names[i]
		if p.unread[shard] == nil || unborn[name] {
			continue
		}
		if other, held := p.held[name]; held && !p.halfMoved(name, shard, other.Shard) {
			return fmt.Errorf("cell %s is in the state of shard %d, and the record says that it is in shard %d, whose state can't be read: make sure that it can, and take nothing out of a state until then: %w",
				name, other.Shard, shard, p.unread[shard])
		}
		if err := p.hold(shard, []act.Cell{{Key: guard.Key(name)}}); err != nil {
			return err
		}
	}
	return nil
}

// holdCut takes from the record those cells of a move that was cut which aren't in the state
// that the record names: they may be in the other one, if it can't be read.
func (p *preparation) holdCut(unborn map[string]bool) error {
	if p.cut == nil || p.unread[p.cut.From] == nil && p.unread[p.cut.To] == nil {
		return nil
	}
	for i, name := range p.record.Names {
		shard := 0
		if p.record.Spread() {
			shard = p.record.Shards[i]
		}
		if _, held := p.held[name]; held || unborn[name] || p.unread[shard] != nil || !slices.Contains(p.cut.Names, name) {
			continue
		}
		if err := p.hold(shard, []act.Cell{{Key: guard.Key(name)}}); err != nil {
			return err
		}
	}
	return nil
}

// unmade are the cells of a record that no state need hold: those that its orders make,
// and those whose birth failed.
func unmade(r fleet.Record) map[string]bool {
	unborn := setOf(r.Failed)
	for _, o := range r.Orders {
		maps.Copy(unborn, setOf(newbornNames(o.Add)))
	}
	return unborn
}

// hold notes the cells of a shard. A cell can't be in two states, but where its move was
// cut: it counts as where it came from.
func (p *preparation) hold(shard int, cells []act.Cell) error {
	for _, c := range cells {
		name := string(c.Key)
		other, twice := p.held[name]
		switch half := twice && p.halfMoved(name, shard, other.Shard); {
		case half && shard == p.cut.To:
			continue
		case twice && !half:
			return fmt.Errorf("cell %s is in the states of shard %d and of shard %d: take it out of one with terraform state rm, in the workspace it doesn't belong to",
				name, min(shard, other.Shard), max(shard, other.Shard))
		}
		p.held[name] = heldCell{Tainted: !c.Whole(), Shard: shard}
	}
	return nil
}
