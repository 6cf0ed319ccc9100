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
