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
		New:  func(World) Law { return &keda{kedaRule{lag, newHPALimits(hpaPeriod)}} },
	}
}

// PlainKEDA is KEDA without a rule of the pod autoscaler: that the count found at first
// is a recommendation.
func PlainKEDA(lag float64) Entry {
	return Entry{
		Name: fmt.Sprintf("plain KEDA %.0f", lag),
		New:  func(World) Law { return &keda{kedaRule{lag, newPlainLimits(hpaPeriod)}} },
	}
}

// FittedKEDA is PlainKEDA made to agree with figures: it looks each 10 s, and its answer
// is void where an order is in the way.
func FittedKEDA(lag float64) Entry {
	return Entry{
		Name: fmt.Sprintf("fitted KEDA %.0f", lag),
		New:  func(World) Law { return &fittedKEDA{kedaRule{lag, newPlainLimits(fittedKEDAPeriod)}} },
	}
}

const fittedKEDAPeriod = 10 * time.Second

type kedaRule struct {
	lag    float64
	limits hpaLimits
}

func (k *kedaRule) Decide(seen Seen) int {
	return k.limits.apply(seen.Ordered, kedaReplicas(seen.Ordered, seen.Backlog, k.lag))
}

type keda struct{ kedaRule }

func (k *keda) Every() time.Duration { return hpaPeriod }

func (k *keda) declares() {}

type fittedKEDA struct{ kedaRule }

func (k *fittedKEDA) Every() time.Duration { return fittedKEDAPeriod }

// kedaReplicas is the count that a lag asks for. At least one replica stays: to
// none KEDA itself scales, and only after its cooldown.
func kedaReplicas(current int, lag, perReplica float64) int {
	if ratio := lag / (perReplica * float64(max(1, current))); math.Abs(1-ratio) <= hpaTolerance {
		return current
	}
	return max(1, int(math.Ceil(lag/perReplica)))
}
