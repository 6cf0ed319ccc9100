package loop

import (
	"context"
	"maps"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// watchSlow judges which cells stay slow, and marks those in Consul, so that
// their own sidecars call them `warning`. It returns why none is judged, if that
// is so.
func (l *Leader) watchSlow(ctx context.Context, v view) string {
	r := &l.Service.Replace
	if v.membersErr != nil || v.consulErr != nil || !v.proven || v.paused != "" {
		return ""
	}
	held := ""
	if r.Slow == policy.SlowOff {
		l.memory.Slow = slowWatch{} // marks from before are taken back
	} else {
		if len(l.memory.Slow.Cells) > 0 {
			l.memory.Slow.forget(l.lives(v))
		}
		held = l.memory.Slow.judge(r, v.at, l.pacings(v))
	}
	marked := l.memory.Slow.marked()
	for _, name := range slices.Sorted(maps.Keys(marked)) {
		m, known := v.member(name)
		if mark, done := v.slow[name]; !known || done && mark.Incarnation == m.Incarnation {
			continue
		}
		err := l.lease.MarkSlow(ctx, fleet.Slow{Cell: name, Incarnation: m.Incarnation, Since: v.at, Reason: marked[name]})
		if err != nil {
			l.Log.Warn("could not mark a slow cell", "cell", name, "error", err)
			continue
		}
		l.Log.Warn("a cell stays slower than its siblings: it is spared new clients", "cell", name, "why", marked[name])
	}
	for _, name := range slices.Sorted(maps.Keys(v.slow)) {
		if _, still := marked[name]; still {
			continue
		}
		if err := l.lease.UnmarkSlow(ctx, name); err != nil {
			l.Log.Warn("could not take the mark of a slow cell back", "cell", name, "error", err)
			continue
		}
		l.Log.Info("a cell counts as slow no longer", "cell", name)
	}
	return held
}

// lives are the cells there are, with the incarnation of each that is known.
func (l *Leader) lives(v view) map[string]string {
	lives := map[string]string{}
	for _, name := range l.cells() {
		m, _ := v.member(name)
		lives[name] = m.Incarnation
	}
	return lives
}

// tellSlow tells once that slow cells are not judged, and why.
func (l *Leader) tellSlow(held string) {
	if (held != "") != (l.slowHeld != "") && held != "" {
		l.Log.Warn("slow cells are left alone", "why", held)
	}
	l.slowHeld = held
}

// pacings are how fast the cells are that are known to have had enough to do.
func (l *Leader) pacings(v view) []pacing {
	r := &l.Service.Replace
	var all []pacing
	for _, name := range l.cells() {
		vitals, known := v.byCell[name]
		if !known || !vitals.Well || v.leaves(name) || vitals.Latency == nil || !vitals.Served.Known || vitals.Latency.Count() < r.SlowRequests {
			continue
		}
		if latency, _, err := vitals.Latency.Quantile(r.SlowQuantile); err == nil {
			all = append(all, pacing{Name: name, Life: vitals.Incarnation, Latency: latency, Load: vitals.Served.Value})
		}
	}
	return all
}

// slowDue are the slow cells that are to be replaced now, at most as many at a
// time as dead ones. None is while many are slow at once: it may be the same that
// made this one slow. One that holds data isn't: an empty one in its place would be
// no better.
func (l *Leader) slowDue(v view) []string {
	if l.slowHeld != "" || l.Service.Replace.Slow != policy.SlowReplace || l.Service.HoldsData || !l.roster().Named {
		return nil
	}
	due := intersect(l.memory.Slow.due(&l.Service.Replace, v.at), l.cells())
	return due[:min(len(due), replacePace(len(l.cells())))]
}
