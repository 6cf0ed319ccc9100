package balance

import (
	"math"
	"testing"
	"time"
)

// repeat is n times v.
func repeat(v float32, n int) series {
	s := make(series, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func TestNeed(t *testing.T) {
	// The wait bound is 5 s, so S is 3 s.
	tests := []struct {
		name    string
		offered series
		want    float64
	}{
		{"one beat of 80/s is 400 in 5 s, over 8 s", series{80}, 50},
		{"a minute of 163/s: 32 beats are 160 s, over 163 s", repeat(163, 60), 160},
		{"one beat of 800/s after silence", append(repeat(0, 60), 800), 500},
		{"the same two beats later: 4,000 in 20 s, over 23 s", append(repeat(0, 60), 800, 0, 0), 4000.0 / 23},
		{"two beats: 1,000 + 4,000 in 10 s, over 13 s, is less than 4,000 over 8 s", series{200, 800}, 500},
		{"nothing", nil, 0},
	}
	cfg := Config{WaitBound: 5 * time.Second}.filled()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := memory{Offered: tt.offered}
			if got := m.need(&cfg); !near(got, tt.want) {
				t.Errorf("need = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNeedWindowsFollowTheBeat(t *testing.T) {
	// At a beat of 10 s and S = 18 s: 100/s for 160 s over 178 s.
	cfg := Config{Beat: 10 * time.Second}.filled()
	m := memory{Offered: repeat(100, 100)}
	if got, want := m.need(&cfg), 100*160.0/178; !near(got, want) {
		t.Errorf("need = %v, want %v", got, want)
	}
}

func TestTrend(t *testing.T) {
	cfg := Config{WaitBound: 5 * time.Second}.filled()
	d60 := timing{birth: 60, lead: 13, duty: 1} // a window of 60 s: 12 beats
	ramp := make(series, 24)
	for i := range ramp {
		ramp[i] = float32(100 + 5*i) // 1/s more each second
	}
	noisy := make(series, 24)
	for i := range noisy {
		noisy[i] = ramp[i] + float32(400*(i%2))
	}
	flat := repeat(100, 24)
	step := append(repeat(100, 12), repeat(200, 12)...)
	falling := make(series, 24)
	for i := range falling {
		falling[i] = float32(300 - 5*i)
	}
	// The newest 12 beats of the ramp have the mean 187.5; the order answers
	// for the time from (13 + 0.5)*5 s = 67.5 s on, the mean lies 30 s back:
	// 187.5 + 1.25*1*97.5.
	rising := 187.5 + 1.25*97.5
	tests := []struct {
		name    string
		offered series
		need    float64
		want    float64
	}{
		{"a ramp is drawn on", ramp, 1000, rising},
		{"but not beyond 1.5 times the need", ramp, 150, 225},
		{"what is flat has none", flat, 100, 0},
		{"what falls has none", falling, 100, 0},
		{"a step has none", step, 1000, 0},
		{"noise hides it", noisy, 1000, 0},
		{"no history, no trend", ramp[:23], 1000, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := memory{Offered: tt.offered}
			if got := m.trend(&cfg, d60, tt.need); !near(got, tt.want) {
				t.Errorf("trend = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTiming(t *testing.T) {
	tests := []struct {
		name       string
		birth      float64
		serial     bool
		beat       time.Duration
		lead, duty int
	}{
		{"60 s", 60, false, 0, 13, 1},
		{"61 s", 61, false, 0, 14, 1},
		{"600 s, serial: floor((300+5)/5)", 600, true, 0, 121, 61},
		{"1 s, serial", 1, true, 0, 2, 1},
		{"beats of 10 s", 60, false, 10 * time.Second, 7, 1},
		{"no end", 1e7, false, 0, mostLead + 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Serial: tt.serial, Beat: tt.beat}.filled()
			obs := Observation{BirthMedian: per(tt.birth)}
			if got := cfg.timing(&obs); got.lead != tt.lead || got.duty != tt.duty {
				t.Errorf("lead %d, duty %d, want %d, %d", got.lead, got.duty, tt.lead, tt.duty)
			}
		})
	}
	cfg := Config{BirthTime: 20 * time.Second}.filled()
	if got := cfg.timing(&Observation{}); got.birth != 20 || math.IsNaN(got.birth) {
		t.Errorf("before the first birth: %v s, want the policy's 20", got.birth)
	}
}
