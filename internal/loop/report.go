package loop

import (
	"context"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// wordEvery is how often a leader's last word is written to Consul when
// nothing changes.
const wordEvery = 30 * time.Second

// report tells each beat's decision: in the metrics always, in the log and in
// Consul when it says something new. A leader is never silent.
type report struct {
	code, trouble string
	mutants       int
	renewal       string
	desired       int
	bounds        policy.Bounds
	writtenAt     time.Time
}

// tell reports a decision, what was seen, and what keeps the leader from
// acting, if anything does.
func (l *Leader) tell(ctx context.Context, v view, obs balance.Observation, trouble string) {
	l.measure(v, obs)
	d := l.last
	news := d.Code != l.told.code || d.Desired != l.told.desired || trouble != l.told.trouble ||
		l.renewal != l.told.renewal || l.bounds() != l.told.bounds || len(l.mutants(v)) != l.told.mutants
	if news {
		l.Log.Info("decision", "desired", d.Desired, "ordered", d.Ordered, "ready", d.Ready, "code", d.Code, "reason", d.Reason, "trouble", trouble, "bounds", l.bounds().String(),
			"mutants", len(l.mutants(v)), "renewal", l.renewal)
	} else {
		l.Log.Debug("decision", "desired", d.Desired, "code", d.Code, "reason", d.Reason, "trouble", trouble)
	}
	if !news && v.at.Sub(l.told.writtenAt) < wordEvery {
		return
	}
	written := l.told.writtenAt
	if err := l.lease.PutDecision(ctx, l.word(v, obs, trouble)); err != nil {
		l.Log.Debug("could not write the last decision to Consul", "error", err)
	} else {
		written = v.at
	}
	l.told = report{code: d.Code, bounds: l.bounds(), trouble: trouble, desired: d.Desired, writtenAt: written, mutants: len(l.mutants(v)), renewal: l.renewal}
}

// rest says why nothing is looked at or done.
func (l *Leader) rest(ctx context.Context, code, why string) {
	now := l.Now()
	l.Metrics.decisions.WithLabelValues(l.Service.Name, code).Inc()
	if l.told.trouble == why && now.Sub(l.told.writtenAt) < wordEvery {
		return
	}
	l.Log.Info("resting", "why", why)
	l.told.trouble, l.told.writtenAt = why, now
	if err := l.lease.PutDecision(ctx, Word{Decision: l.last, Trouble: why}); err != nil {
		l.Log.Debug("could not write to Consul why nothing is done", "error", err)
	}
}

func (l *Leader) word(v view, obs balance.Observation, trouble string) Word {
	w := Word{Decision: l.last, Trouble: trouble, Mutants: l.mutants(v), Renewal: l.renewal, Ahead: l.fore.plan.says()}
	for _, d := range l.drift {
		w.Drift = append(w.Drift, d.String())
	}
	if obs.Lag.Known {
		w.Lag = &obs.Lag.Value
	}
	if r := l.eyes.rates.LagTime; v.lag != nil && r.Known {
		w.LagSeconds = &r.Value
	}
	return w
}

// measure sets the metrics of a beat.
func (l *Leader) measure(v view, obs balance.Observation) {
	m, name, d := l.Metrics, l.Service.Name, l.last
	m.decisions.WithLabelValues(name, d.Code).Inc()
	m.desired.WithLabelValues(name).Set(float64(d.Desired))
	m.ordered.WithLabelValues(name).Set(float64(d.Ordered))
	if v.membersErr == nil {
		m.ready.WithLabelValues(name).Set(float64(d.Ready))
	}
	m.mutants.WithLabelValues(name).Set(float64(len(l.mutants(v))))
	m.min.WithLabelValues(name).Set(float64(l.bounds().Min))
	m.max.WithLabelValues(name).Set(float64(l.bounds().Max))
	m.readings.set(name, map[string]reading.Reading{
		"offered_per_second": obs.Offered,
		"served_per_second":  obs.Served,
		"lag_messages":       obs.Lag,
		"lag_seconds":        l.eyes.rates.LagTime,
		"busy_share":         obs.BusyMax,
		"latency_seconds":    obs.Latency,
		"partitions":         obs.Partitions,
		"birth_seconds":      obs.BirthMedian,
	})
}
