package balance

import (
	"cmp"
	"fmt"
)

// terms lists the steps of the sum in the order in which they are taken, so
// that a person can follow it with a pencil.
func (v *verdict) terms() []Term {
	s, c, m := v.sum, v.cfg, v.mem
	list := make([]Term, 0, 24)
	add := func(name string, value float64, unit, note string) {
		list = append(list, Term{name, value, unit, note})
	}
	add(termOffered, s.offered, "/s", v.offeredNote())
	if s := &v.obs.StandIns; s.Cells > 0 {
		add("stand-ins", float64(s.Cells), "cells", "did not answer in time: they count by their last vitals, at most three beats old, and for a release as wholly busy: "+s.Why)
	}
	felt, _ := m.Felt.ago(0)
	if felt > s.need {
		add("surge", felt, "/s", "needed now; counts once it has lasted "+span(float64(c.surge(s.timing))*c.Beat.Seconds()))
	}
	add("need", s.need, "/s", "served at this rate, no burst queues longer than allowed")
	add("birth", s.birth, "s", birthNote(v.obs))
	add("lead", float64(s.lead)*c.Beat.Seconds(), "s", "how far ahead an order must look")
	add("trend", s.trend, "/s", "where a significant rise leads; 0 if there is none")
	add("look-back", s.look.Back.Seconds(), "s", "the memory that has forecast best")
	add("correction", s.correction, "", "what was needed over what was forecast, learned "+v.levelNote())
	add("forecast", s.forecast, "/s", "largest need of the look-back, or the trend, corrected")
	add("rate of a cell", s.rate, "/s", v.rateNote())
	add("planned busy share", s.trust, "", v.trustNote())
	add("lag", s.lag, "messages", v.lagNote())
	if s.known && s.rateKnown {
		v.backlogTerms(add)
	}
	for _, r := range v.obs.Requests {
		if r.Ceiling > 0 && r.Expires.After(v.obs.At) {
			add("ceiling", float64(r.Ceiling), "cells", "asked for by "+r.From+": "+r.Reason)
		}
		if r.Floor > 0 && r.Expires.After(v.obs.At) {
			add("requested", float64(r.Floor), "cells", "by "+r.From+": "+r.Reason)
		}
	}
	for _, b := range v.obs.Behind {
		add("room of "+b.Service, valueOr(b.Room, 0), "", roomNote(&b))
	}
	for _, b := range v.obs.Behind {
		if n := v.matched[b.Service]; n > 0 {
			add("match of "+b.Service, float64(n), "cells", fmt.Sprintf("will be needed there for %d here; %.1f are now", max(v.needed, v.wanted), b.Need.Value))
		}
	}
	if e := m.Effect; e.Stopped || e.Trial || e.Futile > 0 {
		add("gain", e.Gain, "", fmt.Sprintf("of the last order, of what it could have brought; %d in a row below %.0f %%", e.Futile, 100*c.Law.EffectGain))
	}
	add("wanted", float64(v.wanted), "cells", v.wantedNote())
	most, by := m.most(c)
	add("most", float64(most), "cells", "set by "+c.bound(by))
	add("least", float64(c.Min), "cells", "set by "+c.least())
	if v.code == CodeRelease || v.code == CodeSettling {
		k := max(1, v.obs.Ordered-v.wanted)
		hold := m.hold(c, s, v.obs.Ordered, k)
		add("idle time", hold.Seconds(), "s", fmt.Sprintf("for which %s must be more than enough before they go", cells(k)))
		if s.pause > 0 {
			add("pauses", min(hold, c.worth(s, v.obs.Ordered, k)).Seconds(), "s",
				fmt.Sprintf("of it for the %s in which consumers read nothing when partitions move", span(s.pause)))
		}
	}
	add("changes", float64(v.obs.changes()), "", budgetNote(c))
	if m.idle(c) {
		add("idle", v.obs.BusyMax.Value, "", "busy below the lower bound for long; "+v.keeper()+" keeps the cells")
	}
	return list
}

// backlogTerms are the steps from the lag to the count.
func (v *verdict) backlogTerms(add func(name string, value float64, unit, note string)) {
	s, c := v.sum, v.cfg
	if s.moved > 0 {
		add("moved", s.moved, "messages", fmt.Sprintf("arrive in the %s in which an order moves partitions, and are added for each", span(s.pause)))
	}
	add("backlog", s.backlog, "messages", "lag rolled forward over the orders in flight")
	add("allowed lag", s.allowance, "messages", "a moment's work and what is not committed yet")
	add("drain", s.drain, "/s", "to work the backlog off in "+span(s.drainTime(c)))
	add("busy cells", s.floor, "cells", "need and drain over the rate of a cell")
	add(termExact, s.exact, "cells", "the larger of busy cells and forecast, over the planned busy share")
	add(termThere, s.there, "cells", fmt.Sprintf("of these for load and backlog as they are; a forecast of less than %.0f %% more waits for it", 100*c.Law.GrowShare))
	if s.spares > 0 {
		add(termSpares, s.spares, "cells", fmt.Sprintf("kept, since a birth takes longer than %s", span(c.Law.Patience.Seconds())))
	}
}

// levelNote says of which level of load the correction was learned.
func (v *verdict) levelNote() string {
	law := &v.cfg.Law
	switch v.sum.look.Level {
	case 0:
		return fmt.Sprintf("up to %g times the mean load", law.LevelLow)
	case 1:
		return fmt.Sprintf("between %g and %g times the mean load", law.LevelLow, law.LevelHigh)
	default:
		return fmt.Sprintf("above %g times the mean load", law.LevelHigh)
	}
}

func roomNote(b *Behind) string {
	if !b.Room.Known {
		return "not known: " + cmp.Or(b.Room.Reason, "its cells don't measure it")
	}
	return b.Cause
}

func (v *verdict) offeredNote() string {
	if v.obs.Offered.Known {
		return ""
	}
	return v.missingNote()
}

// missingNote says what stands in the place of a reading that is missing.
func (v *verdict) missingNote() string {
	switch {
	case v.cfg.BoundsOnly:
		return "no signal of load is configured"
	case !v.sum.known:
		return "not known yet"
	default:
		return "missing now, the last one stands in"
	}
}

func birthNote(o *Observation) string {
	if o.BirthMedian.Known {
		return "median of the last births"
	}
	return "the policy's, before the first birth is measured"
}

func (v *verdict) rateNote() string {
	switch {
	case !v.sum.rateKnown:
		return "not known yet: it shows while cells are busy or work off a backlog"
	case v.obs.BusySource != "":
		return "busy share from " + v.obs.BusySource
	default:
		return ""
	}
}

func (v *verdict) trustNote() string {
	if v.sum.trust < v.cfg.Upper {
		return fmt.Sprintf("lowered from %.2f by the latency guard", v.cfg.Upper)
	}
	return ""
}

func (v *verdict) lagNote() string {
	switch {
	case v.cfg.Requests && !v.obs.Lag.Known:
		return "none: requests do not queue"
	case !v.obs.Lag.Known:
		return v.missingNote()
	case v.uneven.code() != "":
		return fmt.Sprintf("of %s, as far as more cells would help: %s", count(v.uneven.total), v.uneven.say())
	default:
		return ""
	}
}

func (v *verdict) wantedNote() string {
	switch {
	case v.fallback != "":
		return "fallback for " + v.fallback
	case v.capped != "":
		return "cut by " + v.cfg.bound(v.capped)
	case v.requested != nil:
		return "raised by the request of " + v.requested.From
	case v.held != "":
		return fmt.Sprintf("%d would be, held back: %s", v.needed, v.held)
	case !v.sum.rateKnown || !v.sum.known:
		return "what is ordered, until load and rate are known"
	default:
		return ""
	}
}

func budgetNote(c *Config) string {
	if c.FlapBudget < 0 {
		return "in the last hour, no budget"
	}
	return fmt.Sprintf("in the last hour, of %d before nothing is released", c.FlapBudget)
}

// keeper names what keeps cells that are not busy.
func (v *verdict) keeper() string {
	switch {
	case v.capped == "min":
		return v.cfg.bound("min")
	case v.sum.trust < v.cfg.Upper:
		return "the latency guard"
	case v.sum.forecast > v.sum.floor*v.sum.rate:
		return "the look-back of " + span(v.sum.look.Back.Seconds())
	default:
		return "the need"
	}
}
