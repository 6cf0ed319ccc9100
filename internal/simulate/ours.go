package simulate

import (
	"encoding/json"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// ours is the law of package balance: the code that decides in a live leader.
type ours struct {
	runner   *balance.Runner
	beat     time.Duration
	measures bool
	// scheduled says that the bounds change with the time, requests that no leader
	// could measure what waits.
	scheduled, requests bool
	book                []balance.Order
	served              trail
	busy                trail
	last                balance.Observation
}

// Ours makes an entry of the law under a configuration. What the world says of
// bounds, orders and the flap budget takes the place of what the configuration
// says.
func Ours(name string, cfg balance.Config) Entry {
	return Entry{Name: name, New: func(w World) Law { return NewOurs(w, cfg) }}
}

// OurPolicy is the one policy under which ours is compared: all defaults but
// what the rows are about, a wait of 5 s and no flap budget.
func OurPolicy() balance.Config {
	return balance.Config{WaitBound: 5 * time.Second, FlapBudget: -1}
}

// NewOurs is the law for a world. It knows the rate of a cell from the first
// beat on, as World.Believed.
func NewOurs(w World, cfg balance.Config) Law {
	w = w.filled()
	cfg.Min, cfg.Max, cfg.Serial = w.Min, w.Max, w.Serial
	if w.Max <= 0 {
		cfg.Max = 1_000_000
	}
	if w.Truer.FlapBudget > 0 {
		cfg.FlapBudget = w.Truer.FlapBudget
	}
	if cfg.Beat <= 0 {
		cfg.Beat = 5 * time.Second
	}
	window := cfg.Law.RateWindow
	if window <= 0 {
		window = balance.DefaultLaw().RateWindow
	}
	points := max(1, int(window/cfg.Beat))
	return &ours{
		runner: balance.NewRunner(cfg, believing(w.Believed)), beat: cfg.Beat, measures: w.Truer.measures(),
		scheduled: len(w.Bounds) > 0, requests: cfg.Requests,
		served: newTrail(points), busy: newTrail(points),
	}
}

// believing is a state that knows the rate of a cell and nothing else. A state's
// stored form is the one way in: live, the rate is measured.
func believing(perCell float64) balance.State {
	var st balance.State
	stored := map[string]any{}
	text, err := json.Marshal(st)
	if err == nil {
		err = json.Unmarshal(text, &stored)
	}
	if err == nil {
		stored["rates"] = []map[string]any{{"version": "", "per_cell": perCell}}
		text, err = json.Marshal(stored)
	}
	if err == nil {
		err = json.Unmarshal(text, &st)
	}
	if err != nil {
		panic("simulate: a state of the law can't be stored: " + err.Error())
	}
	return st
}

func (o *ours) Every() time.Duration { return o.beat }

// epoch is when a run begins, as the law is told.
var epoch = time.Unix(1_000_000_000, 0).UTC()

func instant(second float64) time.Time {
	return epoch.Add(time.Duration(second * float64(time.Second)))
}

func (o *ours) Decide(seen Seen) int {
	o.last = o.observe(&seen)
	if o.scheduled {
		o.runner.Bound(seen.Min, seen.Max)
	}
	return o.runner.Desired(o.last)
}

// observe is what a leader would observe of what is seen.
func (o *ours) observe(seen *Seen) balance.Observation {
	now := instant(float64(seen.Second))
	o.book = o.book[:0]
	for _, f := range seen.InFlight {
		o.book = append(o.book, balance.Order{Delta: f.Delta, Placed: instant(f.Placed), Expected: instant(f.Expected)})
	}
	obs := balance.Observation{
		At: now, Ordered: seen.Ordered, Ready: seen.Ready, InFlight: o.book,
		Offered:     reading.Of(seen.Offered, now),
		BirthMedian: reading.Of(seen.BirthMedian, now),
		Changes:     seen.Changes, Downs: seen.Downs, Rebalancing: seen.Rebalancing,
	}
	if seen.Pause > 0 {
		obs.RebalancePause = reading.Of(seen.Pause, now)
	}
	if !o.requests {
		obs.Lag = reading.Of(seen.Backlog, now)
	}
	if o.measures {
		o.served.add(seen.Served)
		o.busy.add(seen.Busy)
		obs.Served, obs.BusyMax = reading.Of(o.served.mean(), now), reading.Of(o.busy.mean(), now)
	}
	return obs
}

// Explain is the last decision of a law of ours, whole: taken again, so it is for
// the last beat of a run. It is false for other laws, and before the first beat.
func Explain(law Law) (balance.Decision, bool) {
	o, ok := law.(*ours)
	if !ok || o.last.At.IsZero() {
		return balance.Decision{}, false
	}
	return o.runner.Decide(o.last), true
}
