package sense

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// answer is the result of a cell with changed vitals.
func answer(cell string, change func(*Vitals)) Result {
	v := wellVitals()
	v.Cell = cell
	if change != nil {
		change(&v)
	}
	return Result{Sibling: Sibling{Service: "api", Cell: cell, Incarnation: "a1"}, Vitals: v}
}

// silent is the result of a cell that does not answer.
func silent(cell string) Result {
	return Result{Sibling: Sibling{Service: "api", Cell: cell}, Err: errors.New("ask " + cell + ": no answer in time")}
}

// newborn is a cell whose application is not up yet.
func newborn(cell string) Result {
	return answer(cell, func(v *Vitals) {
		none := reading.Unknown("connection refused")
		*v = Vitals{Cell: cell, InFlight: none, Busy: none, Offered: none, Served: none, Refused: none, SpoolDepth: none, LatencyReason: none.Reason}
	})
}

func TestCombineAll(t *testing.T) {
	got := Combine(start, []Result{
		answer("api-1", nil),
		answer("api-2", func(v *Vitals) { v.Busy, v.BusySource = reading.Of(0.8, start), "histogram" }),
		newborn("api-3"),
	}, 0.99)
	wantValue(t, "offered", got.Offered.Value, 40)
	wantValue(t, "served", got.Served.Value, 38)
	wantValue(t, "refused", got.Refused.Value, 2)
	wantValue(t, "in flight", got.InFlight.Value, 6)
	wantUnknown(t, "spool", got.SpoolDepth.Value, "api-1: no spool (and 1 more)")
	wantValue(t, "busy", got.BusyMax.Value, 0.8)
	wantValue(t, "p99", got.Latency.Value, 0.91)
	if got.BusySource != "histogram" || got.Version != "v1" || len(got.Missing) != 0 || got.Offered.Of != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestCombinePart(t *testing.T) {
	got := Combine(start, []Result{answer("api-1", nil), silent("api-2")}, 0.99)
	for what, w := range map[string]Whole{"offered": got.Offered, "busy": got.BusyMax, "p99": got.Latency} {
		wantUnknown(t, what, w.Value, "known for 1 of 2 cells; ask api-2: no answer in time")
		if w.Known != 1 || w.Of != 2 {
			t.Errorf("%s is known for %d of %d", what, w.Known, w.Of)
		}
	}
	wantValue(t, "offered by one", got.Offered.Partial, 20)
	wantValue(t, "busy of one", got.BusyMax.Partial, 0.5)
	wantValue(t, "p99 of one", got.Latency.Partial, 0.91)
	if len(got.Missing) != 1 || !strings.Contains(got.Missing[0], "api-2") {
		t.Errorf("missing = %q", got.Missing)
	}
}

func TestCombineNone(t *testing.T) {
	for name, results := range map[string][]Result{
		"no cell":     nil,
		"all silent":  {silent("api-1"), silent("api-2")},
		"all newborn": {newborn("api-1")},
	} {
		t.Run(name, func(t *testing.T) {
			got := Combine(start, results, 0.99)
			for what, w := range map[string]Whole{
				"offered": got.Offered, "served": got.Served, "refused": got.Refused, "in flight": got.InFlight,
				"spool": got.SpoolDepth, "busy": got.BusyMax, "p99": got.Latency,
			} {
				if w.Value.Known || w.Partial.Known || w.Value.Reason == "" || w.Partial.Reason == "" {
					t.Errorf("%s = %+v, want unknown with a reason", what, w)
				}
			}
		})
	}
}

func TestCombineLatency(t *testing.T) {
	with := func(inc *Increase) func(*Vitals) {
		return func(v *Vitals) { v.Latency, v.LatencyReason = inc, "no histogram is configured" }
	}
	t.Run("beyond the largest bound", func(t *testing.T) {
		got := Combine(start, []Result{
			answer("api-1", with(&Increase{Bounds: []float64{0.1, 1}, Counts: []float64{1, 0, 9}, Span: time.Second})),
		}, 0.99)
		wantValue(t, "p99", got.Latency.Value, 1)
		if !got.LatencyBeyond {
			t.Error("it isn't said that p99 lies beyond the largest bound")
		}
	})
	t.Run("different buckets", func(t *testing.T) {
		got := Combine(start, []Result{
			answer("api-1", nil),
			answer("api-2", with(&Increase{Bounds: []float64{1}, Counts: []float64{1, 0}, Span: time.Second})),
		}, 0.99)
		wantUnknown(t, "p99", got.Latency.Value, "different buckets")
	})
	t.Run("no requests", func(t *testing.T) {
		got := Combine(start, []Result{
			answer("api-1", with(&Increase{Bounds: []float64{1}, Counts: []float64{0, 0}, Span: time.Second})),
		}, 0.99)
		wantUnknown(t, "p99", got.Latency.Value, "nothing was observed")
	})
	t.Run("not configured", func(t *testing.T) {
		got := Combine(start, []Result{answer("api-1", with(nil))}, 0.99)
		wantUnknown(t, "p99", got.Latency.Value, "no histogram is configured")
	})
	t.Run("one merged over two", func(t *testing.T) {
		a := answer("api-1", nil)
		before := a.Vitals.Latency.Counts[0]
		Combine(start, []Result{a, answer("api-2", nil)}, 0.99)
		if a.Vitals.Latency.Counts[0] != before {
			t.Error("Combine changed the vitals it was given")
		}
	})
}

func TestCombineVersion(t *testing.T) {
	v2 := func(v *Vitals) { v.Version = "v2" }
	tests := map[string]struct {
		results []Result
		want    string
	}{
		"same":                  {[]Result{answer("api-1", nil), answer("api-2", nil)}, "v1"},
		"differ":                {[]Result{answer("api-1", nil), answer("api-2", v2)}, ""},
		"differ but not ready":  {[]Result{answer("api-1", nil), answer("api-2", func(v *Vitals) { v2(v); v.Ready = false })}, "v1"},
		"one doesn't answer":    {[]Result{answer("api-1", nil), silent("api-2")}, "v1"},
		"there is none at all":  {nil, ""},
		"a busy cell not ready": {[]Result{newborn("api-1")}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Combine(start, tt.results, 0.99).Version; got != tt.want {
				t.Errorf("version = %q, want %q", got, tt.want)
			}
		})
	}
}
