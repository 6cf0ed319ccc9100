package balance

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// reason is the decision in one sentence.
func (v *verdict) reason() string {
	o := v.obs
	switch v.code {
	case CodeGrow, CodeLatencyGuard, CodeFallback, CodeCappedMax, CodeCappedPartitions:
		return v.cause() + ": " + v.needs() + v.limit() + v.trial()
	case CodeRequested:
		return fmt.Sprintf("%s asks for %s: %s: %s%s", v.requested.From, cells(v.requested.Floor), v.requested.Reason, v.needs(), v.limit())
	case CodeBehindFull:
		return fmt.Sprintf("%s, but %s: more cells would not help, the %s ordered are kept%s", v.strained(), v.obs.firstFull().say(), cells(o.Ordered), v.untilTrial())
	case CodeNoEffect:
		return v.noEffect()
	case CodeUnpaired:
		return fmt.Sprintf("%s to be paired, and %s: one more is asked for, and waited for up to %s", wait(v.short),
			v.cfg.paired(o).say(), span(v.cfg.PairWait.Seconds()))
	case CodeInOrder:
		return fmt.Sprintf("%s wanted, %s ordered: %s", areCells(v.needed), are(o.Ordered), v.inOrder())
	case CodeYielding:
		return fmt.Sprintf("%s needed, %s ordered, and latency is in bound: before more are bought %s", areCells(v.needed), are(o.Ordered), v.heldBack())
	case CodeRelease:
		enough, held := v.mem.spare(v.cfg, v.sum, o.Ordered)
		return fmt.Sprintf("%s enough for %s with %s: %d are ordered, %d go", wereCells(enough),
			span(held.Seconds()), v.loadNow(), o.Ordered, o.Ordered-v.desired)
	case CodeBounds:
		return fmt.Sprintf("%s ordered, outside the bounds of %d to %d%s", areCells(o.Ordered), v.cfg.Min, v.cfg.Max, v.cfg.scheduledBounds())
	case CodePinned:
		return v.pinReason()
	case CodeBoundsOnly:
		return fmt.Sprintf("no signal of load is configured: the %s ordered are kept", cells(o.Ordered))
	case CodeUnknownRate:
		return fmt.Sprintf("the rate of one cell is not known yet: the %s ordered are kept", cells(o.Ordered))
	case CodeUnknownOffered, CodeUnknownLag, CodeUnknownLatency:
		return fmt.Sprintf("%s: nothing is taken away, the %s ordered are kept", strings.Join(v.gone.names(o), "; "), cells(o.Ordered))
	case CodeSmallRise:
		return fmt.Sprintf("%s: %s; fewer than %.0f %% more wait until the load itself needs them", v.cause(), v.needs(), 100*v.cfg.Law.GrowShare)
	case CodeClimbing:
		return fmt.Sprintf("%s: %s; the order waits for up to %s while the need still climbs, since another could only follow when it has landed",
			v.cause(), v.needs(), span(float64(v.cfg.surge(v.sum.timing))*v.cfg.Beat.Seconds()))
	case CodeHotPartition, CodeStuckPartition:
		return fmt.Sprintf("%s; %s: more cells would not help, the %s ordered are kept", v.loadNow(), v.uneven.say(), cells(o.Ordered))
	case CodeSteady:
		return fmt.Sprintf("%s, %s ordered: as many as are needed", v.loadNow(), areCells(o.Ordered))
	default:
		return fmt.Sprintf("%s %d are ordered: kept, since %s", v.fewer(), o.Ordered, v.holds())
	}
}

// fewer says what a count could fall to.
func (v *verdict) fewer() string {
	if c := v.cfg; v.obs.Ordered > c.Max {
		return fmt.Sprintf("no more than %d may be, %s, and", c.Max, c.bound("max"))
	}
	return cells(v.wanted) + " would do,"
}

// noEffect says that the last orders did not help, and what may be behind it.
func (v *verdict) noEffect() string {
	e := v.mem.Effect
	if e.Trial {
		why := "since those before it did not help"
		if b := v.obs.firstFull(); b != nil {
			why = "though " + b.say()
		}
		return fmt.Sprintf("one order is being tried, %s: the %s ordered are kept until it is judged", why, cells(v.obs.Ordered))
	}
	return fmt.Sprintf("%s, and the last %s brought %.0f %% of what they could: the bottleneck is %s, the %s ordered are kept",
		v.strained(), orders(e.Futile), 100*e.Gain, v.obs.behindNames(), cells(v.obs.Ordered))
}

// untilTrial says when one cell is tried although a service behind has no room.
func (v *verdict) untilTrial() string {
	if left := v.mem.Effect.untilTrial(v.cfg); left > 0 {
		return "; if nothing changes one is tried in " + span(left.Seconds())
	}
	return ""
}

// trial says that the order is one, and in spite of what.
func (v *verdict) trial() string {
	if v.tried == nil {
		return ""
	}
	return fmt.Sprintf("; one is tried, though %s", v.tried.say())
}

// strained says what is out of bound.
func (v *verdict) strained() string {
	o, c := v.obs, v.cfg
	if c.LatencyUpper > 0 && o.Latency.Known && o.Latency.Value > c.LatencyUpper.Seconds() {
		return fmt.Sprintf("latency is %s, over %s", span(o.Latency.Value), span(c.LatencyUpper.Seconds()))
	}
	return fmt.Sprintf("a lag of %s messages takes longer than %s to work off", count(valueOr(o.Lag, v.sum.lag)), span(c.WaitBound.Seconds()))
}

// holds says what keeps a count that could fall.
func (v *verdict) holds() string {
	o, law := v.obs, &v.cfg.Law
	switch v.code {
	case CodeWaitingForBirth:
		return "an upward order is in flight" + dueIn(o.nextUp())
	case CodeLagRemains:
		return fmt.Sprintf("a lag of %s messages remains", count(v.sum.lag))
	case CodeWarmingUp:
		return fmt.Sprintf("the law has run for %s of %s", span(float64(v.mem.Run)*v.cfg.Beat.Seconds()),
			span(max(law.ReleaseAfter.Seconds(), v.sum.birth)))
	case CodeSettling:
		if v.mem.Blind > 0 {
			return v.readingsFirst()
		}
		return v.settles()
	case CodeDeadBand:
		return fmt.Sprintf("that is less than %.0f %% of them", 100*law.ReleaseShare)
	default:
		return fmt.Sprintf("%d of %d changes of the hour are used up", o.changes(), v.cfg.FlapBudget)
	}
}

// settles says for how long cells must have been more than enough, and why that is long
// where consumers pause.
func (v *verdict) settles() string {
	k := v.obs.Ordered - v.wanted
	hold, pauses := v.mem.hold(v.cfg, v.sum, v.obs.Ordered, k), ""
	if v.cfg.worth(v.sum, v.obs.Ordered, k) > hold/2 {
		pauses = fmt.Sprintf(", as consumers read nothing for %s when partitions move", span(v.sum.pause))
	}
	return fmt.Sprintf("%s must have been more than enough for %s before they go%s", cells(k), span(hold.Seconds()), pauses)
}

// readingsFirst says for how long there must be readings, and where that doesn't come true
// which are missing again and again.
func (v *verdict) readingsFirst() string {
	m, beat := v.mem, v.cfg.Beat.Seconds()
	text := fmt.Sprintf("%s of readings must follow those that were missing", span(float64(m.Blind)*beat))
	if m.BlindFor > v.cfg.window(v.cfg.Law.ReleaseWindow) {
		text += fmt.Sprintf(", and haven't for %s; missing last: %s", span(float64(m.BlindFor)*beat), m.Missed)
	}
	return text
}

// cause names the term that asks for the most.
func (v *verdict) cause() string {
	s := v.sum
	switch {
	case v.code == CodeFallback:
		return "a signal stays away (" + strings.Join(v.gone.names(v.obs), "; ") + ") and the policy names a number"
	case v.code == CodeLatencyGuard:
		return fmt.Sprintf("latency was out of its bound at an easy load, so a cell is trusted with %.0f %% of its rate", 100*s.trust)
	case s.drain > 0 && s.floor*s.rate >= s.forecast:
		return v.lagCause()
	case s.forecast <= max(s.need, s.offered):
		return fmt.Sprintf("%s at %s/s a cell", v.loadNow(), count(s.rate))
	case s.forecast <= s.correction*s.trend:
		return fmt.Sprintf("%s is rising and may reach %s/s before a cell is born", v.loadNow(), count(s.forecast))
	default:
		return fmt.Sprintf("%s may reach %s/s, judging by the last %s", v.loadNow(), count(s.forecast), span(s.look.Back.Seconds()))
	}
}

func (v *verdict) lagCause() string {
	s := v.sum
	capacity := s.rate * float64(v.obs.Ready)
	if capacity <= 0 {
		return fmt.Sprintf("lag of %s messages and no cell ready", count(s.lag))
	}
	wait, bound := s.lag/capacity, v.cfg.WaitBound.Seconds()
	if wait <= bound {
		return fmt.Sprintf("%s would leave a backlog of %s messages in the %s a cell takes to be born",
			v.loadNow(), count(s.backlog), span(s.birth))
	}
	return fmt.Sprintf("lag of %s messages takes %s to work off, over %s", count(s.lag), span(wait), span(bound))
}

// needs compares what the sum asks for with what is ordered.
func (v *verdict) needs() string {
	n := v.wanted
	if v.capped != "" {
		n = max(n, v.sum.wanted)
	}
	return fmt.Sprintf("%s needed, %s ordered", areCells(n), are(v.obs.Ordered))
}

// limit says what cuts a count that should rise.
func (v *verdict) limit() string {
	switch v.capped {
	case "max":
		return fmt.Sprintf(", %s is %d", v.cfg.bound("max"), v.cfg.Max)
	case "partitions":
		return fmt.Sprintf(", %.0f partitions occupy no more than %d", v.mem.Partitions, v.wanted)
	default:
		return ""
	}
}

func (v *verdict) pinReason() string {
	if v.desired != *v.obs.Pin {
		return fmt.Sprintf("pinned to %d by a person, cut to %d by the bounds; the law wants %d", *v.obs.Pin, v.desired, v.wanted)
	}
	return fmt.Sprintf("pinned to %d by a person; the law wants %d", v.desired, v.wanted)
}

func (v *verdict) loadNow() string { return "load of " + count(v.sum.offered) + "/s" }

func dueIn(d time.Duration) string {
	if d <= 0 {
		return " and overdue"
	}
	return ", due in " + span(d.Seconds())
}

func cells(n int) string {
	if n == 1 {
		return "1 cell"
	}
	return strconv.Itoa(n) + " cells"
}

func orders(n int) string {
	if n == 1 {
		return "order"
	}
	return strconv.Itoa(n) + " orders"
}

func wait(n int) string {
	if n == 1 {
		return "1 cell waits"
	}
	return strconv.Itoa(n) + " cells wait"
}

func are(n int) string {
	if n == 1 {
		return "1 is"
	}
	return strconv.Itoa(n) + " are"
}

func areCells(n int) string {
	if n == 1 {
		return "1 cell is"
	}
	return strconv.Itoa(n) + " cells are"
}

func wereCells(n int) string {
	if n == 1 {
		return "1 cell was"
	}
	return strconv.Itoa(n) + " cells were"
}

// count prints a number as a person reads it: 0.25, 8.3, 812, 12,400.
func count(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 10:
		return strconv.FormatFloat(x, 'g', 2, 64)
	}
	digits := strconv.FormatFloat(math.Round(x), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// span prints seconds as a duration without idle digits: 0.4s, 30s, 3m20s, 1h.
func span(s float64) string {
	d := seconds(s)
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
