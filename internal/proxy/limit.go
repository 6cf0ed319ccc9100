package proxy

import (
	"math"
	"time"
)

// Rule holds the constants of a Limit. All are fields of the policy's block
// concurrency in proxy.
type Rule struct {
	// Initial, Min and Max are numbers of requests in flight, 1 or more, rising in
	// the order Min, Initial, Max.
	Initial, Min, Max int
	// Tolerance is how many times the latency without load is still no sign of
	// load, 1 or more.
	Tolerance float64
	// Harmless is a latency in seconds that is no sign of load however much longer than
	// without load it is; 0 for none.
	Harmless float64
	// Smoothing is the weight of a new estimate, above 0, at most 1.
	Smoothing float64
	// Probe is the longest time between two probes.
	Probe time.Duration
	// ProbeShare is what a probe lets in of what the application needs, 0 to 1.
	ProbeShare float64
}

// Window is what some answers of the application, one after another, have shown.
type Window struct {
	// Class is whose answers they were. Each has a latency without load of its own.
	Class Class
	// Latency is their median, in seconds.
	Latency float64
	// InFlight is the most that was in flight meanwhile.
	InFlight int
	// Beside is the median latency of the other class's answers meanwhile, in seconds; 0
	// where there were too few.
	Beside float64
	// Works is how many requests the application was seen to work on side by side; 0
	// while unknown.
	Works float64
}

const (
	// steepest is the least gradient: a limit at most halves, as in Gradient2.
	steepest = 0.5
	// used is the share of the limit below which nothing is learned of it: what
	// isn't used can't be too low, as in Gradient2.
	used = 0.5
	// nearlyFull is the share of what the application works on side by side from which
	// on it may have a queue.
	nearlyFull = 0.8
	// firstProbe is the time to the first probe; it doubles up to Rule.Probe, since
	// a cell may be born under load and has then never seen an idle application.
	firstProbe = time.Second
	// settle and measure are the windows of a probe: in the first there are still
	// answers to requests that were let in before. It lasts until those have left,
	// settled times as long as an answer took: one takes as long as the queue before
	// it, and its own work, which may be half as long again as usual.
	settle, measure = 1, 1
	settled         = 2
	// followDown and followUp are the weights by which the latency without load
	// follows what is seen: down under load, where an answer that is faster than
	// it can only mean that it is too high, and either way without load.
	followDown, followUp = 0.05, 0.1
)

// Limit finds how many requests an application can have in flight. For each window
// the gradient is
//
//	g = min(1, max(1/2, max(tolerance * base, harmless) / latency))
//
// and the estimate limit*g + sqrt(limit), smoothed: Gradient2 of Netflix's
// concurrency-limits (Gradient2Limit.java, update), with the square root as the queue
// that is always allowed for (its queueSize). There base is a long mean of the
// latency, which drifts up under lasting overload, and the limit with it. Here base
// is the latency without load, as in Gradient and in Envoy's adaptive concurrency
// filter: seen while little of the limit is used, and learned else by lowering the
// limit for a moment ("minRTT calculation window"). Envoy lowers it to 3; here it is
// lowered to a share of what the application needs, limit * base / latency by Little's
// law, so that a probe costs little of its throughput. It is lowered until those have
// left who were let in before: by their answers base would follow the queue they stood
// in, and the limit base, and the queue the limit. If base was too high, the
// application still has a queue then and base falls to what is seen, by that share
// with each probe; if it was too low, base rises halfway.
//
// What is harmless is a share of the time that a client gives the whole answer. Without
// it a disturbance from outside, such as a processor shared with others, looks like
// load, and the limit falls to where it does harm though every answer came in time.
//
// It is a value: time comes with the windows, and it starts nothing.
type Limit struct {
	rule  Rule
	value float64
	base  [classes]float64 // seconds; 0 while nothing was seen
	last  Window
	next  time.Time
	pause time.Duration
	probe int       // windows that the running probe still needs; 0 for none
	alone time.Time // from when on a probe sees only what it let in itself
}

// NewLimit returns a limit that has seen nothing yet.
func NewLimit(rule Rule) Limit {
	return Limit{rule: rule, value: float64(rule.Initial), pause: min(firstProbe, rule.Probe)}
}

// InFlight is how many requests may be in flight now.
func (l *Limit) InFlight() int {
	if l.probe > 0 {
		return max(l.rule.Min, int(l.rule.ProbeShare*l.needed()))
	}
	return int(l.value)
}

// Found is the limit aside from a running probe.
func (l *Limit) Found() int { return int(l.value) }

// Base is the latency without load of a class, in seconds; 0 while none was seen.
func (l *Limit) Base(c Class) float64 { return l.base[c] }

// Probing says that the limit is lowered for a moment to learn from it.
func (l *Limit) Probing() bool { return l.probe > 0 }

// needed is how many requests the application has to have in flight to do what it
// does now, without a queue.
func (l *Limit) needed() float64 {
	if l.last.Latency <= 0 {
		return l.value
	}
	return min(l.value, float64(l.last.InFlight)) * min(1, l.base[l.last.Class]/l.last.Latency)
}

// fills says that the application may have had a queue in a window, though little of
// the limit was used. A base that followed such a window up would let the queue grow.
func (w Window) fills() bool {
	return w.Works > 0 && float64(w.InFlight) >= nearlyFull*w.Works
}

// Observe takes the next window. One whose latency is no positive number is passed
// over.
func (l *Limit) Observe(at time.Time, w Window) {
	if !(w.Latency > 0) || math.IsInf(w.Latency, 1) {
		return
	}
	if l.probe > 0 {
		l.learn(at, w)
		return
	}
	l.last = w
	unused := float64(w.InFlight) < used*l.value
	if l.next.IsZero() {
		l.next = at.Add(l.pause)
	}
	l.follow(w.Class, w.Latency, unused && !w.fills())
	l.follow(1-w.Class, w.Beside, unused && !w.fills())
	if unused {
		return
	}
	gradient := min(1, max(steepest, max(l.rule.Tolerance*l.base[w.Class], l.rule.Harmless)/w.Latency))
	estimate := l.value*gradient + math.Sqrt(l.value)
	l.value = l.bounded((1-l.rule.Smoothing)*l.value + l.rule.Smoothing*estimate)
	if !at.Before(l.next) {
		l.probe = settle + measure
		l.alone = at.Add(time.Duration(settled * w.Latency * float64(time.Second)))
	}
}

// follow has the latency without load of a class follow what was seen of it; idle says
// that there was no queue.
func (l *Limit) follow(c Class, latency float64, idle bool) {
	base := &l.base[c]
	switch {
	case latency <= 0:
	case *base == 0:
		*base = latency
	case idle:
		*base += followUp * (latency - *base)
	case latency < *base:
		*base += followDown * (latency - *base)
	}
}

// learn takes a window of a probe.
func (l *Limit) learn(at time.Time, w Window) {
	if l.probe > measure && at.Before(l.alone) {
		return
	}
	if l.probe--; l.probe > 0 {
		return
	}
	l.relearn(w.Class, w.Latency)
	l.relearn(1-w.Class, w.Beside)
	l.pause = min(2*l.pause, l.rule.Probe)
	l.next = at.Add(l.pause)
}

// relearn takes what a probe has shown of a class.
func (l *Limit) relearn(c Class, latency float64) {
	base := &l.base[c]
	switch {
	case latency <= 0:
	case latency < *base || *base == 0:
		*base = latency
	default:
		*base += (latency - *base) / 2
	}
}

func (l *Limit) bounded(v float64) float64 {
	return min(max(v, float64(l.rule.Min)), float64(l.rule.Max))
}
