package simulate

import (
	"fmt"
	"math"
	"time"
)

// KEDA 2.20's Apache Kafka scaler leaves the count to a horizontal pod
// autoscaler and gives it the total lag as an external metric with a target per
// replica, lagThreshold, 10 unless set:
//
//   - https://keda.sh/docs/2.20/scalers/apache-kafka/ and
//     pkg/scalers/kafka_scaler.go of kedacore/keda;
//   - pkg/controller/podautoscaler/replica_calculator.go of Kubernetes,
//     GetExternalPerPodMetricReplicas: lag over the target, and nothing while
//     lag over target and replicas is within a tolerance of 0.1.
//
// That there are no more replicas than partitions is left out here: it would
// only hold its counts down.

// KEDA makes an entry of the scaler at a lag per replica, in messages.
func KEDA(lag float64) Entry {
	return Entry{
		Name: fmt.Sprintf("KEDA %.0f", lag),
		New:  func(World) Law { return &keda{lag: lag, limits: newHPALimits()} },
	}
}

// PlainKEDA is KEDA without two rules of the pod autoscaler, that the count found at first
// is a recommendation and that the newest answer stands while an order blocks; it looks
// each 10 s instead of 15.
func PlainKEDA(lag float64) Entry {
	return Entry{
		Name: fmt.Sprintf("plain KEDA %.0f", lag),
		New: func(World) Law {
			limits := newPlainLimits()
			limits.recommended = newTrail(int(hpaStable/plainKEDAPeriod) - 1)
			return &plainKEDA{keda{lag: lag, limits: limits}}
		},
	}
}

const plainKEDAPeriod = 10 * time.Second

// plainKEDA declares nothing, unlike keda.
type plainKEDA struct{ whole keda }

func (k *plainKEDA) Every() time.Duration { return plainKEDAPeriod }

func (k *plainKEDA) Decide(seen Seen) int { return k.whole.Decide(seen) }

type keda struct {
	lag    float64
	limits hpaLimits
}

func (k *keda) Every() time.Duration { return hpaPeriod }

func (k *keda) declares() {}

func (k *keda) Decide(seen Seen) int {
	return k.limits.apply(seen.Ordered, kedaReplicas(seen.Ordered, seen.Backlog, k.lag))
}

// kedaReplicas is the count that a lag asks for. At least one replica stays: to
// none KEDA itself scales, and only after its cooldown.
func kedaReplicas(current int, lag, perReplica float64) int {
	if ratio := lag / (perReplica * float64(max(1, current))); math.Abs(1-ratio) <= hpaTolerance {
		return current
	}
	return max(1, int(math.Ceil(lag/perReplica)))
}
