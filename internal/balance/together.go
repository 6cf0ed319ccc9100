package balance

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Services that need one another are not scaled each for itself: a tier that
// grows alone moves the bottleneck to the next, which grows after it, and so on
// (Chamulteon). Here each keeps its own law, and three things pass between them:
//
//   - Who is about to order more asks those behind for the cells that will be
//     needed there, at the ratio that holds now. Where its work can wait
//     (Config.Yields), or is only asked for by others, its own order waits until
//     theirs is placed: database, then API, then crawler.
//   - Who has less than it needs asks those in front whose work can wait for a
//     ceiling: no more cells than now and, where it can't grow, fewer, until it is
//     no longer short. The ceiling rises again in small steps.
//   - Who asks for a ceiling, and whose own latency is in bound, buys nothing for
//     Law.Together: load that can wait is held back before capacity is bought.
//
// Each waits for Law.Together at most, so a silent neighbour delays and never
// stops.

// Front is what is known of a service that needs this one and whose work can wait.
type Front struct {
	Service string
	// Count is how many cells are ordered there, Ready how many take work, Min how few
	// its policy allows.
	Count      reading.Reading
	Ready, Min int
}

// ceiling is what is asked of a service in front, as it stands from beat to beat.
type ceiling struct {
	Service string `json:"service"`
	Ceiling int    `json:"ceiling"`
	Reason  string `json:"reason"`
	// Tight and Calm count the beats since it was last moved, in which there were
	// too few cells here, or enough. Rose says that it was moved upward last, and
	// Patience is for how many times Law.EffectTime there must be enough before it
	// is again: twice as long after each time that was too much.
	Tight    int  `json:"tight"`
	Calm     int  `json:"calm"`
	Rose     bool `json:"rose"`
	Patience int  `json:"patience"`
}

// The steps of a ceiling: down by a fifth where this service can't grow, up by a
// tenth once there are enough cells. Slow up and faster down settles (Chiu and
// Jain, 1989), and what was too much is tried ever more seldom, but no more seldom than
// what did not help is (Law.EffectRetry).
const (
	ceilingDown  = 0.8 // of the ceiling
	ceilingUp    = 0.1 // of the ceiling
	mostPatience = 32  // times Law.EffectTime
)

// matchSlack is the part of a cell behind that isn't worth one: about as far as the
// rates that a need there is made from are noise, at one cell.
const matchSlack = 0.05

// underCeiling puts the lowest ceiling that others ask for in the place of Max, which
// is kept as policyMax. A person's pin is not under it, and neither is Min.
func (c *Config) underCeiling(o *Observation) {
	c.policyMax = c.Max
	if !c.Yields || o.Pin != nil {
		return
	}
	for _, r := range o.Requests {
		if r.Ceiling > 0 && r.Expires.After(o.At) && r.Ceiling < c.Max {
			c.Max, c.ceilingBy = max(r.Ceiling, c.Min), r.From
		}
	}
}

// toCeiling is the count to go to where more are ordered than a ceiling. That is
// another service's word and no bound of the policy, so it takes no cells where a
// release wouldn't for want of a reading, a birth or the budget.
func (v *verdict) toCeiling() (int, string) {
	c, o := v.cfg, v.obs
	switch {
	case v.gone.any():
		return o.Ordered, v.gone.code()
	case o.growing():
		return o.Ordered, CodeWaitingForBirth
	case v.mem.Blind > 0:
		return o.Ordered, CodeSettling
	case c.spent(o):
		return o.Ordered, CodeFlapBudget
	}
	return c.stepTo(c.Max, o.Ordered), CodeBounds
}

// will is how many cells of the service behind n cells here will need, in parts of
// a cell: the part of its load that is ours grows with us, from those that are
// ready here now. It is 0 where that isn't known.
func (b *Behind) will(n int, o *Observation) float64 {
	if !b.Need.Known || !b.Count.Known || o.Ready < 1 {
		return 0
	}
	return b.Need.Value * (1 + b.share(o)*(float64(n)/float64(o.Ready)-1))
}

// share is which part of the load of the service behind is ours, taking one of our
// requests or messages for one of its: 1 where its rate isn't known.
func (b *Behind) share(o *Observation) float64 {
	if !b.Load.Known || !o.Served.Known || b.Load.Value <= o.Served.Value {
		return 1
	}
	return o.Served.Value / b.Load.Value
}

// matches is that in whole cells, as many as there may be.
func (b *Behind) matches(n int, o *Observation) int {
	will := math.Ceil(b.will(n, o) - matchSlack)
	if b.Max > 0 {
		will = min(will, float64(b.Max))
	}
	return int(clamp(will, 0, mostCells))
}

// supports is how many cells here the ordered ones behind will do for.
func (b *Behind) supports(n int, o *Observation) int {
	for n > o.Ready && float64(b.matches(n, o)) > b.Count.Value {
		most := 1 + (b.Count.Value/b.Need.Value-1)/b.share(o) // over those ready
		n = min(n-1, max(o.Ready, int(clamp(most*float64(o.Ready), 0, mostCells))))
	}
	return n
}

// together lets a rise wait for those behind, and for load in front to be held
// back. It may only lower v.wanted, and never below what is ordered or Min.
func (v *verdict) together(fresh bool) {
	m := v.mem
	v.tight = v.sum.known && v.sum.rateKnown && v.sum.floor/v.sum.trust > float64(v.obs.Ready)+v.cfg.Law.RoundingMax
	kept, n := max(v.obs.Ordered, v.cfg.Min), v.wanted
	if v.obs.Pin != nil || v.fallback != "" || n <= kept {
		m.Matching = 0
		if len(m.Ceilings) == 0 {
			m.Yielding = 0 // the next shortage has its own time
		}
		return
	}
	if supported := v.match(n); supported < n && (v.cfg.Yields || v.requested != nil) {
		v.wait(&m.Matching, fresh, CodeInOrder, max(kept, supported))
	} else {
		m.Matching = 0
	}
	out, known := m.strain(v.cfg, v.obs)
	well := v.cfg.LatencyUpper > 0 && known && !out // clients wait for nothing
	if v.held == "" && v.requested == nil && well && slices.ContainsFunc(v.obs.Front, Front.mayYield) {
		if r := v.obs.floor(); r != nil {
			kept = max(kept, min(r.Floor, n))
		}
		v.wait(&m.Yielding, fresh, CodeYielding, kept)
	}
}

// mayYield says that there are cells in front that need not be there.
func (f Front) mayYield() bool { return f.Count.Known && f.Count.Value > float64(f.Min) }

// wait holds a rise at a count for Law.Together at most, in beats so far.
func (v *verdict) wait(beats *int, fresh bool, code string, at int) {
	if fresh {
		*beats = min(*beats+1, MostBeats)
	}
	if *beats <= v.cfg.beats(v.cfg.Law.Together) && at < v.wanted {
		v.needed, v.wanted, v.held = v.wanted, at, code
	}
}

// match notes how many cells each service behind will need for n here, and returns
// how many here they will do for now.
func (v *verdict) match(n int) int {
	supported := n
	for i := range v.obs.Behind {
		b := &v.obs.Behind[i]
		if m := b.matches(n, v.obs); float64(m) > b.Count.Value {
			if v.matched == nil {
				v.matched = map[string]int{}
			}
			v.matched[b.Service] = m
			if !b.atMax() {
				supported = min(supported, b.supports(n, v.obs))
			}
		}
	}
	return supported
}

// askMatches asks those behind for what a rise here will need of them.
func (m *memory) askMatches(matched map[string]int) {
	for i := range m.Asked {
		a := &m.Asked[i]
		a.Floor = max(a.Floor, matched[a.Service])
	}
}

// calm takes one beat of the ceilings that are asked of those in front.
func (v *verdict) calm() {
	m, long := v.mem, v.cfg.beats(v.cfg.Law.EffectTime)
	out, _ := m.strain(v.cfg, v.obs)
	short := v.tight || out
	stuck := v.capped == "max" || v.held == CodeBehindFull || v.held == CodeNoEffect
	kept := m.Ceilings[:0:0]
	for _, f := range v.obs.Front {
		i := slices.IndexFunc(m.Ceilings, func(c ceiling) bool { return c.Service == f.Service })
		switch {
		case i < 0 && short && f.Count.Known && f.Count.Value >= 1:
			kept = append(kept, ceiling{Service: f.Service, Ceiling: int(min(f.Count.Value, mostCells)), Reason: v.shortage(), Patience: 1})
		case i >= 0:
			if c := m.Ceilings[i]; c.move(&f, short, stuck, long) {
				kept = append(kept, c)
			}
		}
	}
	m.Ceilings = kept
}

// move takes one beat of a ceiling; false says that it is over, since it bounds
// nothing any more.
func (c *ceiling) move(f *Front, short, stuck bool, long int) bool {
	switch {
	case short:
		if c.Rose {
			c.Rose, c.Patience = false, min(2*c.Patience, mostPatience)
		}
		c.Calm = 0
		if !f.Count.Known { // nor is it known who is ready there
			return true
		}
		if f.Ready > c.Ceiling { // they are on their way out
			c.Tight = 0
		}
		if c.Tight++; stuck && c.Tight >= long {
			c.Ceiling, c.Tight = max(f.Min, 1, int(ceilingDown*float64(c.Ceiling))), 0
		}
	default:
		c.Tight = 0
		if c.Calm++; c.Calm >= long*c.Patience {
			if f.Count.Known && f.Count.Value < float64(c.Ceiling) {
				return false
			}
			c.Ceiling, c.Calm, c.Rose = c.Ceiling+max(1, int(ceilingUp*float64(c.Ceiling))), 0, true
		}
	}
	return true
}

// shortage says why those in front are to hold back.
func (v *verdict) shortage() string {
	return fmt.Sprintf("%s needed here, %s ready", areCells(max(v.sum.wanted, v.obs.Ready)), are(v.obs.Ready))
}

// inOrder says what a rise waits for behind.
func (v *verdict) inOrder() string {
	var parts []string
	for _, b := range v.obs.Behind {
		if n := v.matched[b.Service]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s, which has %.0f, is asked for %d first", b.Service, b.Count.Value, n))
		}
	}
	return strings.Join(parts, "; ")
}

// heldBack says who in front is to hold back.
func (v *verdict) heldBack() string {
	var parts []string
	for _, c := range v.mem.Ceilings {
		parts = append(parts, fmt.Sprintf("%s is to have no more than %s", c.Service, cells(c.Ceiling)))
	}
	return strings.Join(parts, "; ")
}

// Tells is what a leader in front takes from a decision: how many cells the load
// takes, in parts of a cell, and the offered rate per second. Each is unknown where
// the decision doesn't have it.
func (d *Decision) Tells(at time.Time) (need, load reading.Reading) {
	need, load = reading.Unknown("its last decision doesn't tell"), reading.Unknown("its last decision doesn't tell")
	for _, t := range d.Terms {
		switch t.Name {
		case termExact:
			need = reading.Of(t.Value, at)
		case termOffered:
			load = reading.Of(t.Value, at)
		}
	}
	return need, load
}

// The terms that are read again.
const (
	termOffered = "offered rate"
	termExact   = "exact count"
	termThere   = "needed now"
	termSpares  = "spares"
)
