package loop

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// sweepEvery is how often old tombstones are looked for.
const sweepEvery = time.Hour

// sweep takes away what no longer means anything in Consul: registrations of
// earlier lives, those of silent cells that the record no longer has,
// tombstones and orders to leave that nobody can ask for any more, births of long
// ago, partners of cells that are no more, and machines held for such. A cell that is heard but that the record doesn't have is somebody's:
// it is told of and left alone.
func (l *Leader) sweep(ctx context.Context, v view) {
	l.forgetTheGone(v)
	for _, m := range v.members {
		for _, id := range m.Older {
			l.deregister(ctx, id, "an earlier life of "+m.Name)
		}
		if slices.Contains(l.cells(), m.Name) || l.isHeld(m.Name) {
			continue
		}
		if m.Silent {
			l.deregister(ctx, m.ID(), "it is silent and no longer one of the cells")
		} else if !l.strangers[m.ID()] {
			l.strangers[m.ID()] = true
			l.Log.Warn("a cell is registered that neither record nor state has: it is left alone", "cell", m.Name, "incarnation", m.Incarnation)
		}
	}
	if v.at.Sub(l.sweptAt) < sweepEvery {
		return
	}
	if _, err := l.lease.SweepTombstones(ctx); err != nil {
		l.Log.Warn("could not remove old tombstones", "error", err)
	}
	if _, err := l.lease.SweepLeave(ctx); err != nil {
		l.Log.Warn("could not remove old orders to leave", "error", err)
	}
	if _, err := l.lease.SweepBirths(ctx, l.cells()); err != nil {
		l.Log.Warn("could not forget old births", "error", err)
	}
	if l.Service.Pair != "" && v.membersErr == nil {
		living := slices.Clone(l.cells())
		for _, m := range v.members {
			living = append(living, m.Name)
		}
		if err := l.lease.SweepPairs(ctx, l.Service.Pair, living); err != nil {
			l.Log.Warn("could not forget the partners of cells that are no more", "error", err)
		}
	}
	if err := l.giveUpHosts(ctx, v); err != nil {
		l.Log.Warn("could not give up machines that are held for births of long ago", "error", err)
	}
	l.sweptAt = v.at
}

// giveUpHosts gives up the machines that are held for cells which neither record
// nor state nor Consul has: their births were cut, and nobody goes on with them.
func (l *Leader) giveUpHosts(ctx context.Context, v view) error {
	hosts, err := l.Fleet.Hosts(ctx)
	if err != nil || v.membersErr != nil {
		return err
	}
	for _, h := range hosts {
		alive := slices.ContainsFunc(v.members, func(m fleet.Member) bool { return m.Name == h.Cell })
		if h.State != fleet.HostHeld || h.Service != l.Service.Name || alive || slices.Contains(l.cells(), h.Cell) || l.isHeld(h.Cell) ||
			v.at.Sub(h.Since) < sweepEvery {
			continue
		}
		if err := l.Fleet.AbandonHost(ctx, h, "neither record nor state has its cell"); err != nil {
			return err
		}
		l.Log.Info("a machine that was held for a birth of long ago is given up", "machine", h.Address, "cell", h.CellID())
	}
	return nil
}

// forgetTheGone drops what is remembered of cells that the state no longer
// holds, and of strangers that are gone.
func (l *Leader) forgetTheGone(v view) {
	maps.DeleteFunc(l.lastSeen, func(name string, _ fleet.Member) bool { return !l.isHeld(name) })
	maps.DeleteFunc(l.strangers, func(id string, _ bool) bool {
		return !slices.ContainsFunc(v.members, func(m fleet.Member) bool { return m.ID() == id })
	})
}

func (l *Leader) isHeld(name string) bool {
	_, held := l.held[name]
	return held
}

func (l *Leader) deregister(ctx context.Context, id, why string) {
	if err := l.Fleet.Deregister(ctx, id); err != nil {
		l.Log.Warn("could not take a registration away", "id", id, "error", err)
		return
	}
	l.Log.Info("registration taken away", "id", id, "because", why)
}
