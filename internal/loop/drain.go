package loop

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Leaving starts before the order: the leader marks who leaves, those cells
// drain, and if load returns they are taken back at no cost. Only then is a
// removal ordered, since an apply must not hold the state's lock for minutes.

// mark sets and takes back the marks of a step.
func (l *Leader) mark(ctx context.Context, s step, v view) error {
	if len(s.TakeBack) > 0 {
		if err := l.lease.TakeBack(ctx, s.TakeBack...); err != nil {
			return fmt.Errorf("take %v back: %w", s.TakeBack, err)
		}
		l.Log.Info("cells taken back: load returned before they had left", "cells", s.TakeBack)
	}
	if len(s.Mark) == 0 {
		return nil
	}
	var marks []fleet.Leaving
	for i, name := range s.Mark {
		m, _ := v.member(name)
		reason := l.last.Reason
		if i < s.Retire {
			reason = forRenewal
			if _, slow := v.slow[name]; slow {
				reason = forSlowness
			}
		}
		marks = append(marks, fleet.Leaving{
			Cell: name, Incarnation: m.Incarnation, Since: v.at, Until: v.at.Add(l.Service.Drain.Timeout), Reason: reason,
		})
	}
	if err := l.lease.MarkLeaving(ctx, marks...); err != nil {
		return fmt.Errorf("mark %v as leaving: %w", s.Mark, err)
	}
	l.Log.Info("cells begin to leave", "cells", s.Mark, "drain", l.Service.Drain.Timeout, "reason", marks[0].Reason)
	return nil
}

// leaverOrder sorts the cells that may leave, best first: mutants, unless the
// genome in their place is the one that fails, and those that stay slow; then those not ready, then the
// youngest. The leader's own comes last of its kind.
func (l *Leader) leaverOrder(names []string, v view) []string {
	mutants, slow, halted := setOf(l.mutants(v)), setOf(l.slowDue(v)), l.halted()
	candidates := make([]candidate, len(names))
	for i, name := range names {
		number, _ := cellNumber(l.Service.Name, name)
		candidates[i] = candidate{name, number, mutants[name] == halted && !slow[name], l.isOwn(name), v.ready(name)}
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int {
		return cmp.Or(
			compareBool(a.stays, b.stays),
			compareBool(a.own, b.own),
			compareBool(a.ready, b.ready),
			cmp.Compare(b.number, a.number), // the youngest first: numbers only rise
		)
	})
	out := make([]string, len(names))
	for i, c := range candidates {
		out[i] = c.name
	}
	return out
}

// candidate is a cell that may leave, with all that it is judged by: a comparison must
// not look anything up, as there are thousands of them.
type candidate struct {
	name              string
	number            int
	stays, own, ready bool
}

func (l *Leader) isOwn(name string) bool {
	return l.Holder.Service == l.Service.Name && l.Holder.Cell == name
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
