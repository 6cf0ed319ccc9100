package balance

import (
	"fmt"
)

// Decide takes one beat: it returns the state to keep and what to do. It is
// pure: neither st nor obs is changed, and the same arguments give the same
// result. It may be called more often than once a beat; calls less than half a
// beat apart decide anew, and learn nothing.
func Decide(cfg Config, st State, obs Observation) (State, Decision) {
	r := NewRunner(cfg, st)
	d := r.Decide(obs)
	return State{mem: *r.mem}, d
}

// take takes one beat: v.mem is brought forward, and v holds what to do and why.
func (v *verdict) take() {
	c, o, m := v.cfg, v.obs, v.mem
	v.started, m.afresh = m.afresh, ""

	t := c.timing(o)
	v.uneven = m.share(c, o)
	l, fresh := m.advance(c, o, t, len(v.uneven.hot) > 0)
	*v.sum = m.size(c, o, t, l)
	v.gone = c.missing(o)

	v.bound()
	v.climb(t, fresh)
	v.together(fresh)
	if fresh && !v.gone.any() {
		m.keepWanted(v.enough())
	}
	if fresh {
		m.Effect.waitForRoom(c, o, v.held == CodeBehindFull)
	}
	v.judge()
	v.pair(fresh)
	if fresh {
		m.ask(c, o, v.reasons())
		m.askMatches(v.matched)
		v.calm()
	}
}

// verdict is a decision in the making.
type verdict struct {
	cfg     *Config
	obs     *Observation
	mem     *memory
	sum     *sum
	gone    missing
	started string // why the state was started afresh

	wanted   int // n*, within bounds
	desired  int
	code     string
	capped   string
	fallback string
	// held is the code of what keeps the law from wanting more than is ordered,
	// needed what it would want, and requested the request that raised it.
	held      string
	needed    int
	requested *Request
	// tried is the service behind without room in spite of which one cell is tried.
	tried *Behind
	// tight says that more cells are needed than are ready, matched how many each
	// service behind will need.
	tight   bool
	matched map[string]int
	uneven  uneven
	// climbing says that an order waits since the need still climbs.
	climbing bool
	// short is how many cells wait to be paired.
	short int
}

// judge goes from what is wanted to what is ordered.
func (v *verdict) judge() {
	o := v.obs
	switch {
	case o.Pin != nil:
		v.desired, v.code = clamp(*o.Pin, 0, v.cfg.Max), CodePinned
	case o.Ordered < v.cfg.Min && v.wanted <= v.cfg.Min:
		v.desired, v.code = v.cfg.Min, CodeBounds
	case o.Ordered > v.cfg.policyMax:
		v.desired, v.code = v.cfg.downToMax(o.Ordered), CodeBounds
	case o.Ordered > v.cfg.Max:
		v.desired, v.code = v.toCeiling()
	case v.wanted > o.Ordered && v.smallRise():
		v.desired, v.code = o.Ordered, CodeSmallRise
	case v.wanted > o.Ordered && v.climbing:
		v.desired, v.code = o.Ordered, CodeClimbing
	case v.wanted > o.Ordered:
		v.desired, v.code = v.wanted, v.growCode()
	case v.wanted < o.Ordered:
		v.desired, v.code = v.mem.release(v.cfg, o, v.sum, v.gone, v.enough())
	default:
		v.desired, v.code = o.Ordered, v.steadyCode()
	}
}

// smallRise says that a few more cells are wanted only since the forecast says so:
// while load climbs such orders would follow each other beat by beat. What the load
// and the backlog that are there ask for is no small rise, nor what a person, min, a
// fallback or another service does.
func (v *verdict) smallRise() bool {
	c, o := v.cfg, v.obs
	if v.requested != nil || v.fallback != "" || !v.sum.rateKnown || o.Ordered < c.Min || v.growCode() != CodeGrow {
		return false
	}
	return v.wanted-o.Ordered < c.Law.leastRise(o.Ordered) && roundUp(c, v.sum.there+v.sum.spares) <= o.Ordered
}

// bound makes v.wanted from what the sum says: never lower on a missing
// reading, then the fallbacks, then the caps.
func (v *verdict) bound() {
	wanted := v.sum.wanted
	if v.gone.any() {
		wanted = max(wanted, v.mem.lastWanted())
	}
	wanted = v.hold(wanted)
	wanted, v.fallback = v.mem.fallback(v.cfg, v.obs, wanted)
	if v.cfg.BoundsOnly {
		wanted = v.obs.Ordered
	}
	if r := v.obs.floor(); r != nil && r.Floor > wanted {
		wanted, v.requested = min(r.Floor, mostCells), r
	}
	most, by := v.mem.most(v.cfg)
	switch {
	case wanted > most:
		wanted, v.capped = most, by
	case wanted < v.cfg.Min:
		wanted, v.capped = v.cfg.Min, "min"
	}
	v.wanted = wanted
}

// hold keeps the law from wanting more where more would not help: where latency
// or lag are out of bound because a service behind is, or where the last orders
// brought next to nothing. What a person, min, a fallback or another service asks
// for is not held. A trial before a service that has no room is of one cell: each
// costs that service connections.
func (v *verdict) hold(wanted int) int {
	v.needed = wanted
	if wanted <= v.obs.Ordered {
		return wanted
	}
	var full *Behind
	if out, _ := v.mem.strain(v.cfg, v.obs); out {
		full = v.obs.firstFull()
	}
	switch {
	case full != nil && !v.mem.Effect.Trial:
		v.held = CodeBehindFull
	case v.mem.Effect.holds(v.obs):
		v.held = CodeNoEffect
	case full != nil:
		v.tried = full
		return v.obs.Ordered + 1
	default:
		return wanted
	}
	return v.obs.Ordered
}

// pair lets a rise wait while the service that new cells are paired with has no
// room, up to Config.PairWait. Bounds and pins don't wait.
func (v *verdict) pair(fresh bool) {
	b := v.cfg.paired(v.obs)
	waits := b != nil && b.full() && v.desired > max(v.obs.Ordered, v.cfg.Min) && v.code != CodeBounds && v.code != CodePinned
	if !waits {
		v.mem.Unpaired = 0
		return
	}
	kept := max(v.obs.Ordered, v.cfg.Min)
	v.short = v.desired - kept
	if fresh {
		v.mem.Unpaired = min(v.mem.Unpaired+1, mostCount)
	}
	if v.mem.Unpaired <= v.cfg.beats(v.cfg.PairWait) {
		v.desired, v.code = kept, CodeUnpaired
	}
}

// reasons says which services behind are to grow, and why.
func (v *verdict) reasons() map[string]string {
	if len(v.obs.Behind) == 0 && len(v.mem.Asked) == 0 {
		return nil
	}
	reasons := map[string]string{}
	if out, _ := v.mem.strain(v.cfg, v.obs); out {
		for i := range v.obs.Behind {
			if b := &v.obs.Behind[i]; b.full() {
				reasons[b.Service] = v.strained() + " and " + b.say()
			}
		}
	}
	for service, n := range v.matched {
		reasons[service] = fmt.Sprintf("%s wanted here will need %d", areCells(max(v.needed, v.wanted)), n)
	}
	if b := v.cfg.paired(v.obs); v.short > 0 {
		reasons[b.Service] = fmt.Sprintf("%s to be paired, and %s", wait(v.short), b.say())
	}
	return reasons
}

// growCode tells a rise for load from one that latency or a fallback asks for.
func (v *verdict) growCode() string {
	switch {
	case v.requested != nil:
		return CodeRequested
	case v.fallback != "":
		return CodeFallback
	case v.sum.trust < v.cfg.Upper && roundUp(v.cfg, v.sum.exact*v.sum.trust/v.cfg.Upper) <= v.obs.Ordered:
		return CodeLatencyGuard
	default:
		return CodeGrow
	}
}

// steadyCode says why the count stays although nothing holds it back.
func (v *verdict) steadyCode() string {
	switch {
	case v.cfg.BoundsOnly:
		return CodeBoundsOnly
	case v.held != "":
		return v.held
	case v.uneven.code() != "":
		return v.uneven.code()
	case v.gone.any():
		return v.gone.code()
	case !v.sum.rateKnown:
		return CodeUnknownRate
	case v.capped == "max":
		return CodeCappedMax
	case v.capped == "partitions":
		return CodeCappedPartitions
	default:
		return CodeSteady
	}
}

// code names the missing reading that weighs most.
func (m missing) code() string {
	switch {
	case m.offered:
		return CodeUnknownOffered
	case m.lag:
		return CodeUnknownLag
	default:
		return CodeUnknownLatency
	}
}

func (v *verdict) decision() Decision {
	d := Decision{
		At: v.obs.At, Desired: v.desired, Ordered: v.obs.Ordered, Ready: v.obs.Ready,
		Code: v.code, CappedBy: v.cfg.bound(v.capped), Unknown: v.gone.names(v.obs),
	}
	if v.started != "" {
		d.Unknown = append(d.Unknown, "state: "+v.started+"; starting afresh")
	}
	d.Terms = v.terms()
	d.Asks, d.Answers = v.mem.asks(), v.answers()
	d.Reason = v.reason()
	return d
}
