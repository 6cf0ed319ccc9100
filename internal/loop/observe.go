package loop

import (
	"maps"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// books are what the leader holds to be true of its cells: those that the
// record wants, the orders not yet carried out, and those that the state holds.
type books struct {
	names  []string
	orders []fleet.Order
	held   map[string]heldCell
	// surge is how many of the names are there only while others are renewed.
	surge int
}

// eyes turn views into observations. They remember the last samples, since a
// rate is the difference of two.
type eyes struct {
	service *policy.Service
	meter   *sense.RateMeter
	rates   sense.Rates
	spools  sense.SpoolMeter
	uneven  unevenMeter
	pauses  pauseMeter
	// lastReady stands in while members are unknown.
	lastReady int
}

func newEyes(s *policy.Service) *eyes {
	return &eyes{service: s, meter: sense.NewRateMeter(s.Law.RateWindow), pauses: pauseMeter{beat: s.Beat}}
}

// observe makes the observation of a view, for a record and the changes that
// the last hour saw.
func (e *eyes) observe(v view, b books, m *memory) balance.Observation {
	changes, downs, _ := m.counts(v.at)
	obs := balance.Observation{
		At:         v.at,
		Ordered:    len(without(b.names, slices.Collect(maps.Keys(v.leaving)))) - b.surge,
		Ready:      e.ready(v, b),
		InFlight:   inFlight(v, b),
		Changes:    changes,
		Downs:      downs,
		BusyMax:    v.vitals.BusyMax.Value,
		BusySource: v.vitals.BusySource,
		StandIns:   balance.StandIns(v.vitals.Silent),
		Version:    v.vitals.Version,
		Latency:    v.vitals.Latency.Value,
		Quiet:      v.vitals.Quiet,
		Requests:   requestsOf(v.requests),
		Behind:     v.behind,
		Front:      v.front,
	}
	if v.pin != nil {
		obs.Pin = &v.pin.Count
	}
	if median, known := m.Book.Median(); known {
		obs.BirthMedian = reading.Of(median.Seconds(), v.at)
	} else {
		obs.BirthMedian = reading.Unknown("no birth has been measured yet")
	}
	if e.service.KafkaLag != nil {
		e.queue(v, &obs)
	} else {
		obs.Offered, obs.Served, obs.Serving = v.vitals.Offered.Value, v.vitals.Served.Value, v.serving()
	}
	return obs
}

// serving counts the cells that have a part in what the vitals say is served. Some of
// them may be no longer, or not yet, ready.
func (v view) serving() int {
	n := v.vitals.Silent.Cells
	for _, vitals := range v.byCell {
		if vitals.Served.Known && vitals.Served.Value > 0 {
			n++
		}
	}
	return n
}

// queue fills in what comes from the topic.
func (e *eyes) queue(v view, obs *balance.Observation) {
	if v.lag == nil {
		why := reading.Unknown("the topic was not sampled")
		obs.Offered, obs.Served, obs.Lag, obs.Partitions = why, why, why, why
		return
	}
	e.rates = e.meter.Observe(*v.lag)
	rates := e.rates
	obs.Lag = v.lag.Lag
	obs.Partitions = v.lag.PartitionCount
	obs.Rebalancing = v.lag.Rebalancing
	obs.Laggards, obs.RebalancePause = e.uneven.laggards(v.lag), e.pauses.observe(v.lag)
	obs.Offered, obs.Served = rates.Offered, rates.Served
	if growth := e.spools.Observe(v.at, v.spools); obs.Offered.Known {
		obs.Offered.Value = max(0, obs.Offered.Value+growth)
	}
	obs.CommitInterval = rates.CommitInterval
	obs.InFlightMessages = v.vitals.InFlight.Value
	obs.StandIns.Served = 0 // what is served is counted at the topic
}

// ready counts the cells that take work. Where cells can't register, those
// that the state holds count, and their health is unknown.
func (e *eyes) ready(v view, b books) int {
	if v.membersErr != nil && e.service.Members != policy.MembersState {
		return e.lastReady // unknown is not zero
	}
	n := 0
	defer func() { e.lastReady = n }()
	for _, name := range b.names {
		if e.service.Members == policy.MembersState {
			if c, ok := b.held[name]; ok && !c.Tainted {
				n++
			}
			continue
		}
		if v.ready(name) {
			n++
		}
	}
	return n
}

// inFlight lists what is ordered and hasn't landed: births whose cell isn't
// ready yet, and cells that drain before they go.
func inFlight(v view, b books) []balance.Order {
	var out []balance.Order
	for _, o := range b.orders {
		delta := 0
		for _, n := range o.Add {
			if _, isHeld := b.held[n.Name]; !isHeld && !v.ready(n.Name) {
				delta++
			}
		}
		if delta > 0 {
			out = append(out, balance.Order{Delta: delta, Placed: o.Placed, Expected: o.Expected})
		}
	}
	return out
}

// Feeders names the services whose cells have a spool before the topic that a
// service reads.
func Feeders(p *policy.Policy, s *policy.Service) (names []string) {
	if s.KafkaLag == nil {
		return nil
	}
	for _, other := range p.Services {
		if other.Spool != nil && slices.Contains(other.Spool.Topics, s.KafkaLag.Topic) {
			names = append(names, other.Name)
		}
	}
	return names
}
