package loop

import (
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// lawConfig translates a service's policy into what the control law takes.
func lawConfig(s *policy.Service) balance.Config {
	cfg := balance.Config{
		Min: s.Min, Max: s.Max,
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
