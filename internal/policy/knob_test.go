package policy

import (
	"strings"
	"testing"
)

const knobPolicy = `
service "pod" {
  min = 2
  max = 9
  terraform { dir = "pod" }
  kafka_lag {
    topic = "t"
    group = "g"
    upper = "30s"
  }
}
kafka { brokers = ["127.0.0.1:9092"] }
`

func TestKnobs(t *testing.T) {
	p, diags := Parse("x.hcl", []byte(knobPolicy))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := p.Services[0]
	for _, k := range Knobs() {
		if v, ok := k.Value(s); ok {
			if _, err := s.With(Setting{k, v}); err != nil {
				t.Errorf("%s can't be what it is: %v", k.Path, err)
			}
		}
	}
	tests := []struct {
		name, path string
		value, to  float64
		line       string
	}{
		{"price", "law.price", 0.97, 0.9, "law { price = 0.9 }"},
		{"upper", "utilization.upper", 0.92, 0.8, "utilization { upper = 0.8 }"},
		{"kafka_lag.upper", "kafka_lag.upper", 30, 90, `kafka_lag { upper = "1m30s" }`},
		{"min", "min", 2, 3, "min = 3"},
		{"beat", "beat", 5, 10, `beat = "10s"`},
		{"changes_per_hour", "limits.changes_per_hour", 12, 4, "limits { changes_per_hour = 4 }"},
		{"time", "birth.time", 60, 20, `birth { time = "20s" }`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, err := FindKnob(tt.name)
			if err != nil {
				t.Fatal(err)
			}
			if v, ok := k.Value(s); k.Path != tt.path || !ok || k.Path != "law.price" && v != tt.value {
				t.Errorf("%s is %g, want %s of %g", k.Path, v, tt.path, tt.value)
			}
			before, _ := k.Value(s)
			changed, err := s.With(Setting{k, tt.to})
			if err != nil {
				t.Fatal(err)
			}
			if v, _ := k.Value(changed); v != tt.to {
				t.Errorf("set to %g, it is %g", tt.to, v)
			}
			if v, _ := k.Value(s); v != before {
				t.Errorf("the service itself was changed to %g", v)
			}
			if line := k.Line(tt.to); line != tt.line {
				t.Errorf("line %q, want %q", line, tt.line)
			}
			if v, err := k.Parse(k.Say(tt.to)); err != nil || v != tt.to {
				t.Errorf("%q is read as %g, %v", k.Say(tt.to), v, err)
			}
		})
	}
	upper, _ := FindKnob("upper")
	if changed, err := s.With(Setting{upper, 0.6}); err != nil || changed.Law.Utilization != 0.6 || changed.Law.RequestUtilization != 0.6 {
		t.Errorf("the law doesn't follow utilization.upper: %+v, %v", changed, err)
	}
}

func TestKnobsThatCanNotBe(t *testing.T) {
	p, diags := Parse("x.hcl", []byte(knobPolicy))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := p.Services[0]
	for _, tt := range []struct {
		name  string
		value float64
		err   string
	}{
		{"price", 2, "law.price = 2 must be at least 0.5"},
		{"min", 10, "min is 10, above max, which is 9"},
		{"law.trend_min", 1200, "law.trend_min is 20m and must not be above law.trend_max, which is 10m (the default)"},
		{"law.level_low", 9, "law.level_low is 9 and must not be above law.level_high"},
		{"law.release_idle", 36000, "law.release_idle is 10h: the law keeps 3600 beats"},
		{"utilization.lower", 0.95, "utilization.lower is 0.95 and must be below upper"},
		{"latency.quantile", 0.5, "the service pod has no block for latency.quantile"},
	} {
		k, err := FindKnob(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.With(Setting{k, tt.value}); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s = %g: %v, want %q", tt.name, tt.value, err, tt.err)
		}
	}
	latency, err := FindKnob("latency.quantile")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := latency.Value(s); ok {
		t.Error("a block that isn't there has a value")
	}
	if _, err := FindKnob("prize"); err == nil {
		t.Error("found a knob that there isn't")
	}
	beat, _ := FindKnob("beat")
	if _, err := beat.Parse("soon"); err == nil || !strings.Contains(err.Error(), "no duration") {
		t.Errorf("%v", err)
	}
	most, _ := FindKnob("max")
	if _, err := most.Parse("2.5"); err == nil || !strings.Contains(err.Error(), "no whole number") {
		t.Errorf("%v", err)
	}
	if !beat.Duration() || beat.Whole() || !most.Whole() || most.Share() {
		t.Error("kinds are mixed up")
	}
}

// Several numbers are set at once: in whatever order, they only have to be valid
// together.
func TestKnobsTogether(t *testing.T) {
	p, diags := Parse("x.hcl", []byte(knobPolicy))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	least, _ := FindKnob("min")
	most, _ := FindKnob("max")
	for _, settings := range [][]Setting{{{least, 12}, {most, 20}}, {{most, 20}, {least, 12}}} {
		changed, err := p.Services[0].With(settings...)
		if err != nil || changed.Min != 12 || changed.Max != 20 {
			t.Errorf("%+v, %v", changed, err)
		}
	}
}

// A bound that a schedule doesn't write stays the service's when that is changed.
func TestKnobsAndSchedules(t *testing.T) {
	s := scheduled(t, `
schedule "day" {
  cron = "0 8 * * *"
  for  = "10h"
  min  = 6
}
schedule "night" {
  cron = "0 0 * * *"
  for  = "7h"
  max  = 4
}`).service
	least, _ := FindKnob("min")
	most, _ := FindKnob("max")
	changed, err := s.With(Setting{least, 3}, Setting{most, 12})
	if err != nil {
		t.Fatal(err)
	}
	if day, night := changed.Schedules[0], changed.Schedules[1]; day.Min != 6 || day.Max != 12 || night.Min != 3 || night.Max != 4 {
		t.Errorf("by day %d to %d, by night %d to %d", day.Min, day.Max, night.Min, night.Max)
	}
	if day, night := s.Schedules[0], s.Schedules[1]; day.Max != 10 || night.Min != 2 {
		t.Errorf("the service's own are %+v and %+v now", day, night)
	}
	if _, err := s.With(Setting{most, 5}); err == nil || !strings.Contains(err.Error(), `min of schedule "day" would be 6, above its max of 5`) {
		t.Errorf("a max below a schedule's min: %v", err)
	}
}
