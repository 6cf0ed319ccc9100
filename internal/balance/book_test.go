package balance

import (
	"testing"
	"time"
)

func TestRollForward(t *testing.T) {
	tests := []struct {
		name           string
		lag, need, mu  float64
		ready          int
		list           []landing
		horizon, moved float64
		expected       float64
	}{
		{"no orders: 1,000 + (300-200)*65", 1000, 300, 100, 2, nil, 65, 0, 7500},
		{"two cells after 30 s: 1,000 + 100*30 - 100*35", 1000, 300, 100, 2, []landing{{30, 2}}, 65, 0, 500},
		{"a backlog worked off does not go below 0 before load returns", 1000, 100, 100, 5, []landing{{10, -5}}, 20, 0, 1000},
		{"an order after the horizon does not count", 1000, 300, 100, 2, []landing{{66, 9}}, 65, 50, 7500},
		{"an overdue one counts from now: 1,000 - 100*65", 1000, 300, 100, 2, []landing{{0, 2}}, 65, 0, 0},
		{"each landing moves partitions: 50 more, twice", 1000, 300, 100, 3, []landing{{10, 1}, {20, -1}}, 65, 50, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := rollForward(tt.lag, tt.need, tt.mu, tt.ready, tt.list, tt.horizon, tt.moved); !near(got, tt.expected) {
				t.Errorf("backlog %v, want %v", got, tt.expected)
			}
		})
	}
}

func TestLandings(t *testing.T) {
	cfg := Config{}.filled()
	due := func(after time.Duration, delta int) Order {
		return Order{Delta: delta, Placed: epoch.Add(-time.Hour), Expected: epoch.Add(after)}
	}
	obs := Observation{At: epoch, InFlight: []Order{
		due(40*time.Second, 1), due(-119*time.Second, 2), due(-121*time.Second, 4), due(10*time.Second, 8),
	}}
	got := landings(&cfg, &obs, timing{birth: 60})
	want := []landing{{0, 2}, {10, 8}, {40, 1}}
	if len(got) != len(want) {
		t.Fatalf("landings %v, want %v: what is overdue by more than two births is not counted on", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("landings %v, want %v", got, want)
		}
	}
}

func TestAllowance(t *testing.T) {
	cfg := Config{}.filled()
	obs := Observation{Served: per(300), CommitInterval: per(5), InFlightMessages: per(40)}
	// Half a second of four cells of 100/s, a commit's worth, what is in flight.
	if got := allowance(&cfg, &obs, 100, 4); got != 200+1500+40 {
		t.Errorf("allowance %v, want 1740", got)
	}
	if got := allowance(&cfg, &Observation{}, 100, 4); got != 200 {
		t.Errorf("allowance without committed offsets %v, want 200", got)
	}
}

// What is ordered need not be ordered again: the staircase of laws that only
// see what runs.
func TestOrdersInFlightCount(t *testing.T) {
	s := newService(t, 4)
	s.obs.Offered, s.obs.Lag = per(390), per(30_000)
	first := s.beats(1).Desired
	if first <= 4 {
		t.Fatalf("desired %d with a backlog, want more than 4", first)
	}
	s.obs.InFlight = []Order{{Delta: first - 4, Placed: s.obs.At, Expected: s.obs.At.Add(time.Minute)}}
	s.obs.Ordered = first
	for range 11 {
		if d := s.beats(1); d.Desired > 2*first {
			t.Fatalf("desired %d while %d are being born: %s", d.Desired, first, d.Reason)
		}
		if s.d.Desired < first {
			t.Fatalf("lowered to %d with an upward order in flight", s.d.Desired)
		}
	}
}
