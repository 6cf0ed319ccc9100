package simulate

import (
	"fmt"
	"math"
	"time"
)

// The horizontal pod autoscaler of Kubernetes, autoscaling/v2, as of v1.34:
//
//   - pkg/controller/podautoscaler/replica_calculator.go, GetResourceReplicas:
//     the ratio of whole percents of utilisation to the target; nothing within a
//     tolerance of 0.1; pods not ready counted as idle on the way up, and else not
//     at all;
//   - pkg/controller/podautoscaler/horizontal.go,
//     stabilizeRecommendationWithBehaviors and
//     calculateScaleUpLimitWithScalingRules; recordInitialRecommendation: the count
//     it finds at first is a recommendation, too;
//   - pkg/apis/autoscaling/v2/defaults.go: up by at most 100 % or 4 pods in 15 s,
//     whichever is more; down to the largest recommendation of 300 s;
//   - https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
//
// That pods which are being deleted don't count is left out, since here they serve
// until they are gone. Its period is 15 s, and so is what a metrics server averages over.
const (
	hpaPeriod    = 15 * time.Second
	hpaTolerance = 0.1
	hpaStable    = 300 * time.Second
	hpaUpPods    = 4
)

// HPA makes an entry of the autoscaler at a target utilisation, 0..1.
func HPA(target float64) Entry {
	return Entry{
		Name: fmt.Sprintf("HPA %.4g", target),
		New:  func(World) Law { return &hpa{percent: math.Round(100 * target), limits: newHPALimits(hpaPeriod)} },
	}
}

// PlainHPA is HPA without three of its rules: utilisation isn't cut to whole percents,
// pods that aren't ready count on the way down, too, and the count found at first is no
// recommendation. It is there to tell what these rules do.
func PlainHPA(target float64) Entry {
	return Entry{
		Name: fmt.Sprintf("plain HPA %.4g", target),
		New: func(World) Law {
			return &hpa{percent: math.Round(100 * target), plain: true, limits: newPlainLimits(hpaPeriod)}
		},
	}
}

type hpa struct {
	percent float64 // the target
	plain   bool
	limits  hpaLimits
}

func (h *hpa) Every() time.Duration { return hpaPeriod }

func (h *hpa) declares() {}

func (h *hpa) Decide(seen Seen) int {
	return h.limits.apply(seen.Ordered, h.replicas(seen.Ordered, seen.Ready, max(0, seen.Ordered-seen.Ready), seen.Busy))
}

// replicas is the count that the utilisation asks for: current replicas are wanted,
// ready ones serve at this busy share, and as many are not ready yet.
func (h *hpa) replicas(current, ready, notReady int, busy float64) int {
	if ready <= 0 {
		return current // no metrics for any ready pod: nothing is computed
	}
	ratio := h.utilisation(busy) / h.percent
	if ratio <= 1 || notReady == 0 {
		if math.Abs(1-ratio) <= hpaTolerance {
			return current
		}
		if h.plain {
			ready += notReady
		}
		return int(math.Ceil(ratio * float64(ready)))
	}
	pods := ready + notReady
	ratio = h.utilisation(busy*float64(ready)/float64(pods)) / h.percent
	if ratio <= 1+hpaTolerance { // too small, or the other way
		return current
	}
	return max(current, int(math.Ceil(ratio*float64(pods))))
}

// utilisation is a busy share in whole percent, cut off.
func (h *hpa) utilisation(busy float64) float64 {
	if h.plain {
		return 100 * busy
	}
	return math.Floor(100*busy + 1e-9)
}

// hpaLimits is what stands between a recommendation and the count: the largest
// recommendation of the last while, but not above the current count, on the way
// down; a rate on the way up.
type hpaLimits struct {
	recommended trail
	begun       bool // the count found at first is among them
}

// newHPALimits are the limits of one that recommends each period.
func newHPALimits(period time.Duration) hpaLimits {
	// Those younger than 300 s beside the one that is made now.
	return hpaLimits{recommended: newTrail(int(hpaStable/period) - 1)}
}

// newPlainLimits are limits to which the count found at first is no recommendation.
func newPlainLimits(period time.Duration) hpaLimits {
	l := newHPALimits(period)
	l.begun = true
	return l
}

func (l *hpaLimits) apply(current, wanted int) int {
	if !l.begun {
		l.begun = true
		l.recommended.add(float64(current))
	}
	stable := wanted
	if wanted < current {
		stable = min(current, max(wanted, int(l.recommended.most())))
	}
	l.recommended.add(float64(wanted))
	// Each period is one decision, so none was added within it before.
	most := max(current+hpaUpPods, 2*current)
	return min(stable, most)
}
