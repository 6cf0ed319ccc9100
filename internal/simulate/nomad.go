package simulate

import (
	"fmt"
	"math"
	"time"
)

// The Nomad Autoscaler, 0.5.0 of hashicorp/nomad-autoscaler:
//
//   - plugins/builtin/strategy/target-value/plugin/plugin.go: count times metric
//     over target, rounded up; nothing within a threshold of 0.01;
//   - plugins/builtin/strategy/threshold/plugin/plugin.go: a step once at least
//     five points (within_bounds_trigger) of the query's window lie in bounds;
//   - plugins/builtin/target/aws-asg/plugin, since here cells are machines: the
//     count is the group's desired capacity (plugin.go, Status), which is raised when
//     machines are ordered (aws.go, scaleOut) and falls with each one that has drained
//     and whose end is then asked for (aws.go, scaleIn and terminateInstance);
//   - policy/handler.go and
//     https://developer.hashicorp.com/nomad/tools/autoscaling/agent/policy: it
//     looks every 10 s, and not at all for 5 min after an action.
//
// That it doesn't look while machines come or go (plugin.go, processLastActivity), and
// that the 5 min begin when they have (policy/handler.go), is left out: it would only
// order later, and be slow more often.
const (
	nomadPeriod    = 10 * time.Second
	nomadCooldown  = 5 * time.Minute
	nomadThreshold = 0.01
	nomadWindow    = time.Minute // query_window
	nomadTrigger   = 5
)

// NomadTarget makes an entry of the target-value strategy at a busy share.
func NomadTarget(target float64) Entry {
	return Entry{
		Name: fmt.Sprintf("nomad target-value %.4g", target),
		New:  func(World) Law { return newNomadTarget(target) },
	}
}

// FittedNomadTarget is NomadTarget changed by trying, to come nearer to figures: below the
// target it goes by the machines that stay, as if one counted no more once its end is ordered; above it by
// those there are, as the whole copy does.
func FittedNomadTarget(target float64) Entry {
	return Entry{
		Name: fmt.Sprintf("fitted nomad target-value %.4g", target),
		New: func(World) Law {
			n := newNomadTarget(target)
			n.stayBelow = target
			return n
		},
	}
}

func newNomadTarget(target float64) *nomad {
	return &nomad{rule: func(n int, busy float64) int { return nomadTargetCount(n, busy, target) }}
}

// NomadThreshold makes an entry of two threshold checks: a step up from a busy
// share of high on, and one down below low. A step is an absolute number, or a
// share of the count if it is below 1.
func NomadThreshold(low, high, up, down float64) Entry {
	step := fmt.Sprintf("by %.0f", up)
	if up < 1 {
		step = fmt.Sprintf("+%.0f %%/-%.0f", 100*up, down)
	}
	return Entry{
		Name: fmt.Sprintf("nomad threshold %.0f/%.0f %s", 100*low, 100*high, step),
		New: func(World) Law {
			points := newTrail(int(nomadWindow / nomadPeriod))
			return &nomad{rule: func(n int, busy float64) int {
				points.add(busy)
				return nomadStep(n, points.all(), low, high, up, down)
			}}
		},
	}
}

// nomad is what its strategies have in common: a cooldown after an action.
type nomad struct {
	rule func(count int, busy float64) int
	// stayBelow is the busy share below which only those machines count that stay; at
	// 0 all do, always.
	stayBelow  float64
	coolsUntil int // seconds
	// before is the count ordered before the last action; 0: none waits to be seen.
	before int
}

func (n *nomad) Every() time.Duration { return nomadPeriod }

func (n *nomad) Decide(seen Seen) int {
	if n.before == seen.Ordered {
		n.coolsUntil = 0 // it wasn't carried out
	}
	n.before = 0
	present := n.present(seen)
	count := n.rule(present, seen.Busy)
	if seen.Second < n.coolsUntil || count == present || count == seen.Ordered {
		return seen.Ordered
	}
	n.coolsUntil, n.before = seen.Second+int(nomadCooldown/time.Second), seen.Ordered
	return count
}

// present is the count it goes by: the group's desired capacity, but in the fitted copy.
func (n *nomad) present(seen Seen) int {
	if seen.Busy < n.stayBelow {
		return seen.Ordered
	}
	return max(seen.Ordered, seen.Ready)
}

// nomadTargetCount is the count that target-value asks for.
func nomadTargetCount(count int, busy, target float64) int {
	factor := busy / target
	switch {
	case count == 0:
		return int(math.Ceil(factor))
	case math.Abs(factor-1) <= nomadThreshold:
		return count
	default:
		return int(math.Ceil(float64(count) * factor))
	}
}

// nomadStep is the count that two threshold checks ask for. Where both ask, the
// one up wins; they can't here.
func nomadStep(count int, points []float64, low, high, up, down float64) int {
	above, below := 0, 0
	for _, busy := range points {
		if busy >= high {
			above++
		}
		if busy < low {
			below++
		}
	}
	switch {
	case above >= nomadTrigger && up < 1:
		return int(math.Ceil(float64(count) * (1 + up)))
	case above >= nomadTrigger:
		return count + int(up)
	case below >= nomadTrigger:
		return max(1, count-int(down))
	default:
		return count
	}
}
