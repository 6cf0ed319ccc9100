package sense

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

func TestTraffic(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	look := func(seconds int, offered, served, refused float64) Traffic {
		return Traffic{
			At: begin.Add(time.Duration(seconds) * time.Second), Offered: offered, Served: served, Refused: refused, InFlight: 3, Capacity: 40,
			Latency: Histogram{Bounds: []float64{0.1, 1}, Cumulative: []float64{served / 2, served, served}, Sum: served / 4},
		}
	}
	m := NewTrafficMeter(time.Minute, false)
	var v Vitals
	m.Observe(look(0, 100, 100, 0), &v)
	if v.Offered.Known || v.Latency != nil || v.LatencyReason == "" || v.InFlight.Value != 3 || v.Busy.Known {
		t.Errorf("first look: %+v", v)
	}
	v = Vitals{}
	m.Observe(look(10, 500, 300, 200), &v)
	if v.Offered.Value != 40 || v.Served.Value != 20 || v.Refused.Value != 20 || v.Busy.Value != 0.5 || v.BusySource == "" {
		t.Errorf("rates: %+v", v)
	}
	if v.Latency == nil || v.Latency.Count() != 200 || v.Latency.Span != 10*time.Second || v.LatencyReason != "" {
		t.Errorf("latency: %+v", v.Latency)
	}

	// What the application says of itself stands beside it.
	v = Vitals{Busy: reading.Of(0.9, begin), BusySource: "gauge"}
	m.Observe(look(20, 500, 300, 200), &v)
	if v.Busy.Value != 0.9 || v.BusySource != "gauge" {
		t.Errorf("busy share: %+v by %s", v.Busy, v.BusySource)
	}
	m = NewTrafficMeter(0, true)
	for _, c := range []struct{ own, want reading.Reading }{
		{reading.Of(7, begin), reading.Of(7, begin)}, {reading.Of(1, begin), reading.Of(3, begin)}, {reading.Unknown("no answer"), reading.Unknown("no answer")},
	} {
		v = Vitals{InFlight: c.own}
		m.Observe(look(0, 1, 1, 0), &v)
		if v.InFlight.Known != c.want.Known || v.InFlight.Value != c.want.Value {
			t.Errorf("in flight %+v, want %+v", v.InFlight, c.want)
		}
	}
}

// Without clients there is no latency of theirs to measure; one that is in hand and
// has no answer is no such case.
func TestTrafficWithoutClients(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := NewTrafficMeter(time.Minute, false)
	quiet := func(seconds int, clients float64, inHand int) bool {
		var v Vitals
		m.Observe(Traffic{
			At: begin.Add(time.Duration(seconds) * time.Second), Offered: 10 * float64(seconds), Served: 10 * float64(seconds),
			Clients: clients, ClientsInHand: inHand, Latency: Histogram{Bounds: []float64{1}, Cumulative: []float64{0, 0}},
		}, &v)
		return v.Quiet
	}
	for i, step := range []struct {
		clients float64
		inHand  int
		want    bool
	}{
		{0, 0, false}, // nothing to compare with
		{0, 0, true},
		{1, 1, false},
		{1, 1, false},
		{1, 1, false},
		{1, 1, false},
		{1, 1, false}, // it came long ago, and hangs
		{1, 0, true},
	} {
		if got := quiet(5*i, step.clients, step.inHand); got != step.want {
			t.Errorf("after %d s, with %g clients and %d in hand: quiet is %t", 5*i, step.clients, step.inHand, got)
		}
	}
}

func TestQuiet(t *testing.T) {
	cell := func(ready, quiet bool) Result { return Result{Vitals: Vitals{Ready: ready, Quiet: quiet}} }
	for name, test := range map[string]struct {
		results []Result
		want    bool
	}{
		"all":                  {[]Result{cell(true, true), cell(true, true)}, true},
		"one isn't":            {[]Result{cell(true, true), cell(true, false)}, false},
		"one doesn't answer":   {[]Result{cell(true, true), {Err: errNoBuckets}}, false},
		"one is no part of it": {[]Result{cell(true, true), cell(false, false)}, true},
		"none":                 {nil, false},
	} {
		if got := Combine(time.Now(), test.results, 0.99).Quiet; got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
