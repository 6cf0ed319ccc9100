package simulate

import (
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
)

// PlanningAhead is how a leader plans ahead: the policy's plan_ahead, and how long a
// plan takes.
type PlanningAhead struct {
	MaxAge, Pause, PauseMax, Takes time.Duration
}

// Foresights is how planning ahead has fared in a run.
type Foresights struct {
	// Orders counts the upward orders placed, Fresh those of them whose plan lay
	// ready, and Caught those whose plan was still being made. AtOnce are those placed
	// as soon as the order before had landed: there was no time to plan.
	Orders, Fresh, Caught, AtOnce int
	// Plans counts the plans made ahead, Old those thrown away for their age, Other
	// those for which another order came or was likely.
	Plans, Old, Other int
}

// Foreseeing is ours as its leader plans ahead: with the rule and the pace of the
// live leader. Orders are placed only while none is in flight, as those of one state
// are; so it is for serial worlds. Removals are not counted: they are planned while
// the cells drain, and there is nothing to foresee.
type Foreseeing struct {
	*ours
	Fared Foresights

	cfg    balance.Config
	how    PlanningAhead
	sight  balance.Foresight
	pace   balance.Pace
	count  int  // that the plan is for; 0 for none
	second int  // in which it was begun
	rested bool // a beat has gone by without an order in flight
}

// NewForeseeing is ours for a world, planning ahead.
func NewForeseeing(w World, cfg balance.Config, how PlanningAhead) *Foreseeing {
	law, _ := NewOurs(w, cfg).(*ours)
	return &Foreseeing{ours: law, cfg: cfg, how: how, pace: balance.Pace{Least: how.Pause, Most: how.PauseMax}}
}

// Decide implements Law.
func (f *Foreseeing) Decide(seen Seen) int {
	desired := f.ours.Decide(seen)
	next := f.sight.See(f.cfg, f.runner.Outlook())
	rested := f.rested
	f.rested = len(seen.InFlight) == 0
	switch {
	case len(seen.InFlight) > 0:
		f.throw(nil) // a leader that applies plans nothing
	case desired > seen.Ordered && !rested:
		f.Fared.AtOnce++
		f.order(seen.Second, desired, true)
	case desired != seen.Ordered:
		f.order(seen.Second, desired, desired > seen.Ordered)
	default:
		f.plan(seen.Second, next.Count)
	}
	return desired
}

// age is how long ago the plan was begun.
func (f *Foreseeing) age(second int) time.Duration {
	return time.Duration(second-f.second) * time.Second
}

func (f *Foreseeing) order(second, desired int, up bool) {
	if up {
		f.Fared.Orders++
	}
	if !up || f.count != desired || f.age(second) > f.how.MaxAge {
		f.throw(&f.Fared.Other)
		return
	}
	if f.age(second) >= f.how.Takes {
		f.Fared.Fresh++
	} else {
		f.Fared.Caught++
	}
	f.count = 0
	f.pace.Used()
}

// plan keeps a plan, throws it away, or begins one.
func (f *Foreseeing) plan(second, next int) {
	switch {
	case f.age(second) > f.how.MaxAge:
		f.throw(&f.Fared.Old)
	case next > 0 && next != f.count:
		f.throw(&f.Fared.Other)
	}
	now := instant(float64(second))
	if f.count == 0 && next > 0 && f.pace.May(now) {
		f.pace.Began(now)
		f.count, f.second = next, second
		f.Fared.Plans++
	}
}

func (f *Foreseeing) throw(why *int) {
	if f.count == 0 {
		return
	}
	f.count = 0
	f.pace.Wasted()
	if why != nil {
		*why++
	}
}
