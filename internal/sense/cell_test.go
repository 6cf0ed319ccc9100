package sense

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// app is an application whose metrics a test moves.
type app struct {
	done, seconds, arrived, refused, busy, inFlight float64
}

// text is its metrics page: of the requests done, all took between 0.1 and 1 s.
func (a app) text() string {
	return fmt.Sprintf(`# TYPE request_seconds histogram
request_seconds_bucket{le="0.1"} 0
request_seconds_bucket{le="1"} %[1]g
request_seconds_bucket{le="+Inf"} %[1]g
request_seconds_sum %[2]g
request_seconds_count %[1]g
# TYPE arrived_total counter
arrived_total %[3]g
# TYPE refused_total counter
refused_total %[4]g
# TYPE busy_share gauge
busy_share %[5]g
# TYPE in_flight gauge
in_flight %[6]g
`, a.done, a.seconds, a.arrived, a.refused, a.busy, a.inFlight)
}

func (a app) scrape(t *testing.T, at time.Time) *Scrape {
	t.Helper()
	s, err := ParseScrape(strings.NewReader(a.text()), at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var allMetrics = CellConfig{
	Histogram: "request_seconds", Busy: "busy_share", Workers: 4, InFlight: "in_flight",
	Arrived: "arrived_total", Refused: "refused_total",
}

// without changes a copy of all metrics.
func without(change func(*CellConfig)) CellConfig {
	cfg := allMetrics
	change(&cfg)
	return cfg
}

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func TestCellMeter(t *testing.T) {
	m := NewCellMeter(allMetrics)
	first := m.Observe(at(0), app{busy: 0.5, inFlight: 3}.scrape(t, at(0)), nil)
	wantValue(t, "in flight", first.InFlight, 3)
	wantValue(t, "busy", first.Busy, 0.5)
	wantUnknown(t, "offered", first.Offered, "no earlier scrape")
	wantUnknown(t, "served", first.Served, "no earlier scrape")
	if first.Latency != nil || !strings.Contains(first.LatencyReason, "no earlier scrape") {
		t.Errorf("latency = %v because of %q, want none yet", first.Latency, first.LatencyReason)
	}

	v := m.Observe(at(5), app{done: 50, seconds: 10, arrived: 80, refused: 20, busy: 0.7, inFlight: 10}.scrape(t, at(5)), nil)
	wantValue(t, "offered", v.Offered, 16)
	wantValue(t, "refused", v.Refused, 4)
	wantValue(t, "served", v.Served, 10)
	wantValue(t, "busy", v.Busy, 0.6)
	if v.BusySource != "gauge busy_share" {
		t.Errorf("busy source = %q", v.BusySource)
	}
	if v.Latency == nil || v.Latency.Count() != 50 || v.Latency.Sum != 10 || v.Latency.Span != 5*time.Second {
		t.Errorf("latency = %+v, want 50 requests of 10 s in all", v.Latency)
	}
	if !v.At.Equal(at(5)) {
		t.Errorf("at = %v", v.At)
	}
}

func TestCellMeterWindows(t *testing.T) {
	m := NewCellMeter(without(func(c *CellConfig) { c.Busy = "" }))
	var v Vitals
	// 10 requests of 0.2 s a second for 100 s, then 20 a second for 20 s.
	var a app
	for s := 0; s <= 120; s += 5 {
		v = m.Observe(at(s), a.scrape(t, at(s)), nil)
		rate := 10.0
		if s >= 100 {
			rate = 20
		}
		a.done += 5 * rate
		a.arrived += 5 * rate
		a.seconds += 5 * rate * 0.2
	}
	wantValue(t, "offered, of the last beat", v.Offered, 20)
	wantValue(t, "served, of the last minute", v.Served, (40*10+20*20)/60.0)
	wantValue(t, "busy, of the last minute", v.Busy, (40*10+20*20)*0.2/(4*60))
	if v.Latency.Span != 15*time.Second || v.Latency.Count() != 300 {
		t.Errorf("latency over %v of %g requests, want 15 s of 300", v.Latency.Span, v.Latency.Count())
	}
	if !strings.Contains(v.BusySource, "over 4 workers") {
		t.Errorf("busy source = %q, want the workers named", v.BusySource)
	}
}

func TestCellMeterAfterARestart(t *testing.T) {
	m := NewCellMeter(without(func(c *CellConfig) { c.Busy = "" }))
	m.Observe(at(0), app{}.scrape(t, at(0)), nil)
	m.Observe(at(5), app{done: 50, seconds: 10, arrived: 80}.scrape(t, at(5)), nil)
	v := m.Observe(at(10), app{done: 5, seconds: 1, arrived: 8}.scrape(t, at(10)), nil)
	wantUnknown(t, "offered", v.Offered, "started again")
	wantUnknown(t, "served", v.Served, "started again")
	wantUnknown(t, "busy", v.Busy, "started again")
	if v.Latency != nil || !strings.Contains(v.LatencyReason, "started again") {
		t.Errorf("latency = %v because of %q, want none", v.Latency, v.LatencyReason)
	}
	v = m.Observe(at(15), app{done: 15, seconds: 3, arrived: 28}.scrape(t, at(15)), nil)
	wantValue(t, "offered", v.Offered, 4)
	wantValue(t, "served", v.Served, 2)
	wantValue(t, "busy", v.Busy, 0.1)
}

func TestCellMeterFailedScrape(t *testing.T) {
	m := NewCellMeter(allMetrics)
	m.Observe(at(0), app{busy: 0.5}.scrape(t, at(0)), nil)
	v := m.Observe(at(5), nil, errors.New("no answer in time"))
	wantUnknown(t, "offered", v.Offered, "no answer in time")
	wantUnknown(t, "busy", v.Busy, "no answer in time")
	wantUnknown(t, "in flight", v.InFlight, "no answer in time")
	if v.Idle() {
		t.Error("a cell of which nothing is known is not idle")
	}
	v = m.Observe(at(10), app{done: 100, arrived: 100, busy: 0.5}.scrape(t, at(10)), nil)
	wantValue(t, "offered, over two beats", v.Offered, 10)
	v = m.Observe(at(15), nil, nil)
	wantUnknown(t, "offered", v.Offered, "not scraped")
}

func TestCellMeterSources(t *testing.T) {
	tests := map[string]struct {
		cfg    CellConfig
		last   app
		offer  float64 // -1: unknown
		served float64
		busy   float64
		reason string // of the busy share
	}{
		"all": {cfg: allMetrics, last: app{done: 10, seconds: 8, arrived: 20, refused: 5, busy: 0.5}, offer: 2, served: 1, busy: 0.25},
		"no gauge": {
			cfg:  without(func(c *CellConfig) { c.Busy = "" }),
			last: app{done: 10, seconds: 8, arrived: 20, busy: 0.5}, offer: 2, served: 1, busy: 0.2,
		},
		"gauge missing on the page": {
			cfg:  without(func(c *CellConfig) { c.Busy = "business" }),
			last: app{done: 10, seconds: 8, arrived: 20}, offer: 2, served: 1, busy: 0.2,
		},
		"gauge that is no share": {
			cfg:  without(func(c *CellConfig) { c.Workers = 0 }),
			last: app{arrived: 20, busy: 37}, offer: 2, served: 0, busy: -1, reason: "is 37 and not a share",
		},
		"gauge a little above 1": {cfg: allMetrics, last: app{busy: 1.02}, offer: 0, served: 0, busy: 0.5},
		"sum of more than the workers' time": {
			cfg:  without(func(c *CellConfig) { c.Busy = "" }),
			last: app{seconds: 400}, offer: 0, served: 0, busy: 1,
		},
		"neither gauge nor workers": {
			cfg:  without(func(c *CellConfig) { c.Busy, c.Workers = "", 0 }),
			last: app{done: 10, arrived: 20}, offer: 2, served: 1, busy: -1, reason: "no busy gauge is configured; the number of workers",
		},
		"no counter of arrivals": {
			cfg:  without(func(c *CellConfig) { c.Arrived = "" }),
			last: app{done: 10, refused: 5, busy: 0.5}, offer: 1.5, served: 1, busy: 0.25,
		},
		"histogram alone": {
			cfg:  CellConfig{Histogram: "request_seconds", Workers: 1},
			last: app{done: 10, seconds: 2}, offer: 1, served: 1, busy: 0.2,
		},
		"no histogram": {
			cfg:  without(func(c *CellConfig) { c.Histogram = "" }),
			last: app{arrived: 20, refused: 5, busy: 0.5}, offer: 2, served: 1.5, busy: 0.25,
		},
		"arrivals alone": {
			cfg:  CellConfig{Arrived: "arrived_total"},
			last: app{arrived: 20}, offer: 2, served: 2, busy: -1, reason: "no busy gauge",
		},
		"nothing": {cfg: CellConfig{}, last: app{arrived: 20}, offer: -1, served: -1, busy: -1, reason: "no busy gauge"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := NewCellMeter(tt.cfg)
			m.Observe(at(0), app{}.scrape(t, at(0)), nil)
			v := m.Observe(at(10), tt.last.scrape(t, at(10)), nil)
			if tt.offer < 0 {
				wantUnknown(t, "offered", v.Offered, "configured")
			} else {
				wantValue(t, "offered", v.Offered, tt.offer)
			}
			if tt.served < 0 {
				wantUnknown(t, "served", v.Served, "configured")
			} else {
				wantValue(t, "served", v.Served, tt.served)
			}
			if tt.busy < 0 {
				wantUnknown(t, "busy", v.Busy, tt.reason)
			} else {
				wantValue(t, "busy", v.Busy, tt.busy)
			}
			if v.Busy.Known == (v.BusySource == "") {
				t.Errorf("busy = %v, source %q", v.Busy, v.BusySource)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	for text, want := range map[string]bool{"0": true, "1": false} {
		m := NewCellMeter(CellConfig{InFlight: "in_flight"})
		v := m.Observe(at(0), parse(t, "in_flight "+text+"\n"), nil)
		if v.Idle() != want {
			t.Errorf("with %s in flight, idle = %v", text, v.Idle())
		}
	}
	m := NewCellMeter(CellConfig{InFlight: "in_flight"})
	wantUnknown(t, "in flight", m.Observe(at(0), parse(t, "in_flight -1\n"), nil).InFlight, "is -1")
}
