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
	out, mutants, halted := slices.Clone(names), l.mutants(v), l.halted()
	slow := l.slowDue(v)
	stays := func(name string) bool {
		return slices.Contains(mutants, name) == halted && !slices.Contains(slow, name)
	}
	slices.SortStableFunc(out, func(a, b string) int {
		return cmp.Or(
			compareBool(stays(a), stays(b)),
			compareBool(l.isOwn(a), l.isOwn(b)),
			compareBool(v.ready(a), v.ready(b)),
			l.younger(a, b),
		)
	})
	return out
}

func (l *Leader) isOwn(name string) bool {
	return l.Holder.Service == l.Service.Name && l.Holder.Cell == name
}

// younger orders by number in the name, highest first: names only rise.
func (l *Leader) younger(a, b string) int {
	x, _ := cellNumber(l.Service.Name, a)
	y, _ := cellNumber(l.Service.Name, b)
	return y - x
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
