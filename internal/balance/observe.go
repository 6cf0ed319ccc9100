package balance

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// checked returns the observation with impossible numbers turned into what
// they are: readings nobody made.
func (o Observation) checked() Observation {
	o.Ordered = clamp(o.Ordered, 0, mostCells)
	o.StandIns = o.StandIns.checked()
	o.Ready, o.Serving = clamp(o.Ready, 0, mostCells), clamp(o.Serving, 0, mostCells)
	o.Offered = within(o.Offered, mostRate)
	o.Served = within(o.Served, mostRate)
	o.Lag = within(o.Lag, mostRate)
	o.InFlightMessages = within(o.InFlightMessages, mostRate)
	o.CommitInterval = within(o.CommitInterval, mostSeconds)
	o.Latency = within(o.Latency, mostSeconds)
	o.BirthMedian = within(o.BirthMedian, mostSeconds)
	o.Partitions = within(o.Partitions, mostCells)
	o.BusyMax = within(o.BusyMax, mostRate)
	o.RebalancePause = within(o.RebalancePause, mostSeconds)
	o.Laggards = soundPartitions(o.Laggards)
	o.Requests = slices.Clone(o.Requests)
	for i := range o.Requests {
		o.Requests[i].Floor = clamp(o.Requests[i].Floor, 0, mostCells)
		o.Requests[i].Ceiling = clamp(o.Requests[i].Ceiling, 0, mostCells)
	}
	o.Front = slices.Clone(o.Front)
	for i := range o.Front {
		o.Front[i].Count, o.Front[i].Min = within(o.Front[i].Count, mostCells), clamp(o.Front[i].Min, 0, mostCells)
	}
	o.Behind = slices.Clone(o.Behind)
	for i := range o.Behind {
		b := &o.Behind[i]
		b.Need, b.Load = within(b.Need, mostCells), within(b.Load, mostRate)
		b.Count, b.Room, b.Ready = within(b.Count, mostCells), within(b.Room, 1), clamp(b.Ready, 0, mostCells)
	}
	// A busy share just above 1 is a matter of when the two clocks were read.
	o.BusyMax.Value = min(o.BusyMax.Value, 1)
	return o
}

// within makes a reading unknown that is negative, above most, or no number.
func within(r reading.Reading, most float64) reading.Reading {
	if !r.Known {
		return reading.Reading{Reason: r.Reason, At: r.At}
	}
	if r.Value >= 0 && r.Value <= most {
		return r
	}
	return reading.Reading{Reason: fmt.Sprintf("measured as %g, which cannot be", r.Value), At: r.At}
}

// valueOr returns the reading's value, or other where there is none.
func valueOr(r reading.Reading, other float64) float64 {
	if r.Known {
		return r.Value
	}
	return other
}

// missing lists the signals that the configuration expects and the observation
// lacks. A latency of nothing is not missing: no request came, none was served.
type missing struct{ offered, lag, latency bool }

func (c *Config) missing(o *Observation) missing {
	if c.BoundsOnly {
		return missing{}
	}
	idle := o.Quiet || o.Offered.Known && o.Offered.Value == 0 && o.Served.Known && o.Served.Value == 0
	return missing{
		offered: !o.Offered.Known,
		lag:     !c.Requests && !o.Lag.Known,
		latency: c.LatencyUpper > 0 && !o.Latency.Known && !idle,
	}
}

func (m missing) any() bool { return m.offered || m.lag || m.latency }

// names gives each missing reading with its reason.
func (m missing) names(o *Observation) []string {
	var names []string
	add := func(missing bool, name string, r reading.Reading) {
		if missing {
			names = append(names, name+": "+cmp.Or(r.Reason, "never measured"))
		}
	}
	add(m.offered, "offered rate", o.Offered)
	add(m.lag, "lag", o.Lag)
	add(m.latency, "latency", o.Latency)
	return names
}
