package sense

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// wellVitals are those of a cell that lacks nothing.
func wellVitals() Vitals {
	return Vitals{
		Service: "api", Cell: "api-1", Incarnation: "a1", Version: "v1", Ready: true,
		InFlight: reading.Of(3, time.Time{}), Busy: reading.Of(0.5, time.Time{}), BusySource: "gauge busy",
		Offered: reading.Of(20, time.Time{}), Served: reading.Of(19, time.Time{}), Refused: reading.Of(1, time.Time{}),
		Latency: &Increase{
			Bounds: []float64{0.1, 1}, Counts: []float64{90, 10, 0}, Sum: 12, Span: 15 * time.Second,
		},
		SpoolDepth: reading.Unknown("no spool"),
	}
}

func encode(t testing.TB, v Vitals) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVitalsTravel(t *testing.T) {
	sent := wellVitals()
	sent.At, sent.Age = start.AddDate(1, 0, 0), 4*time.Second // The writer's clock is a year ahead.
	got, err := DecodeVitals(strings.NewReader(encode(t, sent)), start)
	if err != nil {
		t.Fatal(err)
	}
	want := sent
	want.At = start.Add(-4 * time.Second)
	for _, r := range []*reading.Reading{&want.InFlight, &want.Busy, &want.Offered, &want.Served, &want.Refused, &want.SpoolDepth} {
		r.At = want.At
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeVitalsRefuses(t *testing.T) {
	changed := func(change func(*Vitals)) string {
		v := wellVitals()
		change(&v)
		return encode(t, v)
	}
	tests := map[string]struct{ text, err string }{
		"nothing":           {"", "decode vitals"},
		"no object":         {"[]", "decode vitals"},
		"two":               {encode(t, wellVitals()) + "{}", "more follows"},
		"garbage behind":    {encode(t, wellVitals()) + "x", "more follows"},
		"empty":             {"{}", "name no cell"},
		"from the future":   {changed(func(v *Vitals) { v.Age = -1 }), "-1ns old"},
		"negative rate":     {changed(func(v *Vitals) { v.Offered.Value = -1 }), "offered rate of -1"},
		"busy beyond all":   {changed(func(v *Vitals) { v.Busy.Value = 1.1 }), "busy share of 1.1"},
		"counts missing":    {changed(func(v *Vitals) { v.Latency.Counts = nil }), "0 counts for 2 bounds"},
		"bounds fall":       {changed(func(v *Vitals) { v.Latency.Bounds = []float64{2, 1} }), "do not rise"},
		"negative count":    {changed(func(v *Vitals) { v.Latency.Counts[0] = -1 }), "counts -1"},
		"span of nothing":   {changed(func(v *Vitals) { v.Latency.Span = 0 }), "spans 0s"},
		"number too large":  {`{"cell":"c","incarnation":"i","busy":{"known":true,"value":1e999}}`, "decode vitals"},
		"deeply nested":     {strings.Repeat(`{"busy":`, 20000), "decode vitals"},
		"value of bad type": {`{"cell":1}`, "decode vitals"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if v, err := DecodeVitals(strings.NewReader(tt.text), start); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("vitals %+v, error %v; want %q", v, err, tt.err)
			}
		})
	}
}

// What decodes can be reckoned with: it combines to values that are no nonsense.
func FuzzDecodeVitals(f *testing.F) {
	f.Add(encode(f, wellVitals()))
	f.Add(`{"cell":"c","incarnation":"i","ready":true,"busy":{"known":true,"value":1}}`)
	f.Add(`{"cell":"c","incarnation":"i","latency":{"bounds":[],"counts":[1e308],"span_ns":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := DecodeVitals(strings.NewReader(text), start)
		if err != nil {
			return
		}
		s := Combine(start, []Result{{Vitals: v}, {Vitals: v}}, 0.99)
		for what, w := range map[string]Whole{
			"offered": s.Offered, "served": s.Served, "busy": s.BusyMax, "in flight": s.InFlight,
		} {
			if w.Value.Known && w.Value.Value < 0 || w.Known > w.Of {
				t.Errorf("%s = %+v", what, w)
			}
		}
		if s.BusyMax.Value.Known && s.BusyMax.Value.Value > 1 {
			t.Errorf("busy = %v", s.BusyMax.Value)
		}
	})
}
