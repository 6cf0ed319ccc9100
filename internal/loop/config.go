package loop

import (
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// LawConfig translates a service's policy, with the bounds that are in force, into
// what the control law takes.
func LawConfig(s *policy.Service, b policy.Bounds) balance.Config {
	cfg := balance.Config{
		Min: b.Min, Max: b.Max,
		Scheduled:  balance.Scheduled{Moves: len(s.Schedules) > 0, MinBy: b.MinBy, MaxBy: b.MaxBy, MinFrom: b.MinFrom},
		Beat:       s.Beat,
		Requests:   s.AnswersRequests(),
		BoundsOnly: s.KafkaLag == nil && !s.AnswersRequests(),
		WaitBound:  s.WaitBound(),
		Upper:      s.Utilization.Upper,
		Lower:      s.Utilization.Lower,
		// Orders of one state follow each other: Terraform's state lock lets
		// one apply run at a time.
		Serial:     true,
		BirthTime:  s.Birth.Time,
		Yields:     s.Yields,
		Pair:       s.Pair,
		PairWait:   s.PairWait,
		FlapBudget: s.Limits.ChangesPerHour,
		Law:        balance.Law(s.Law),
	}
	if s.KafkaLag != nil {
		cfg.ConsumersPerCell = s.KafkaLag.ConsumersPerCell
		cfg.LagFallback = balance.Fallback(s.KafkaLag.OnUnknown)
	}
	if s.Latency != nil {
		cfg.LatencyUpper = s.Latency.Upper
		cfg.LatencyFallback = balance.Fallback(s.Latency.OnUnknown)
	}
	return cfg
}
