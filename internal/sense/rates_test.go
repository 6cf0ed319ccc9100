package sense

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// part is one partition in a made-up sample.
type part struct{ end, start, committed int64 }

// gone is a partition whose leader doesn't answer.
var gone = part{end: -1, start: -1, committed: -2}

// sampleOf builds the sample that Kafka.Sample would have made of parts.
func sampleOf(at time.Time, parts ...part) LagSample {
	s := LagSample{At: at, Topic: "t", Group: "g", PartitionCount: reading.Of(float64(len(parts)), at)}
	for i, p := range parts {
		c := commits{offsets: map[int]int64{i: p.committed}}
		end := offset{value: p.end}
		if p.committed == -2 {
			c = commits{err: errNoLeader}
		}
		if p.end < 0 {
			end = offset{value: -1, err: errNoLeader}
		}
		s.Partitions = append(s.Partitions, partitionLag(i, end, offset{value: p.start}, c, (&Kafka{}).withoutCommit(true)))
	}
	s.sum()
	return s
}

func wantValue(t *testing.T, what string, got reading.Reading, want float64) {
	t.Helper()
	if !got.Known || math.Abs(got.Value-want) > 1e-6*math.Max(1, math.Abs(want)) {
		t.Errorf("%s = %v, want %g", what, got, want)
	}
}

func wantUnknown(t *testing.T, what string, got reading.Reading, reason string) {
	t.Helper()
	if got.Known || !strings.Contains(got.Reason, reason) {
		t.Errorf("%s = %v, want unknown because of %q", what, got, reason)
	}
}

var start = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func TestOffered(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	tests := map[string]struct {
		samples []LagSample
		want    float64 // -1: unknown
		reason  string
		atLeast float64
		reset   string
	}{
		"first sample": {
			samples: []LagSample{sampleOf(at(0), part{100, 0, 50})},
			want:    -1, reason: "no earlier sample", atLeast: -1,
		},
		"growth over the beat": {
			samples: []LagSample{sampleOf(at(0), part{100, 0, 50}, part{7, 0, 7}), sampleOf(at(5), part{200, 0, 50}, part{12, 0, 7})},
			want:    21, atLeast: 21,
		},
		"one partition unknown": {
			samples: []LagSample{sampleOf(at(0), part{100, 0, 50}, part{7, 0, 7}), sampleOf(at(5), part{200, 0, 50}, gone)},
			want:    -1, reason: "1 of 2 partitions; partition 1", atLeast: 20,
		},
		"partition back after two beats": {
			samples: []LagSample{
				sampleOf(at(0), part{100, 0, 50}, part{0, 0, 0}),
				sampleOf(at(5), part{100, 0, 50}, gone),
				sampleOf(at(10), part{100, 0, 50}, part{30, 0, 0}),
			},
			want: 3, atLeast: 3,
		},
		"partition added": {
			samples: []LagSample{sampleOf(at(0), part{100, 0, 50}), sampleOf(at(5), part{100, 0, 50}, part{10, 0, -1})},
			want:    2, atLeast: 2,
		},
		"topic made anew": {
			samples: []LagSample{sampleOf(at(0), part{100, 0, 50}), sampleOf(at(5), part{3, 0, 3})},
			want:    -1, reason: "went back from 100 to 3", atLeast: -1, reset: "went back",
		},
		"topic made anew with fewer partitions": {
			samples: []LagSample{sampleOf(at(0), part{1, 0, 1}, part{1, 0, 1}), sampleOf(at(5), part{3, 0, 3})},
			want:    -1, reason: "made anew", atLeast: -1, reset: "1 partitions after 2",
		},
		"after a reset it counts on": {
			samples: []LagSample{sampleOf(at(0), part{100, 0, 50}), sampleOf(at(5), part{3, 0, 3}), sampleOf(at(10), part{8, 0, 3})},
			want:    1, atLeast: 1,
		},
		"the clock went back": {
			samples: []LagSample{sampleOf(at(60), part{100, 0, 50}), sampleOf(at(0), part{200, 0, 50})},
			want:    -1, reason: "clock went back", atLeast: -1, reset: "clock",
		},
		"after the clock went back it counts on": {
			samples: []LagSample{sampleOf(at(60), part{100, 0, 50}), sampleOf(at(0), part{200, 0, 50}), sampleOf(at(10), part{250, 0, 50})},
			want:    5, atLeast: 5,
		},
		"a sample that failed in between": {
			samples: []LagSample{
				sampleOf(at(0), part{100, 0, 50}),
				unknownSample(at(5), "t", "g", "no broker answers"),
				sampleOf(at(10), part{150, 0, 50}),
			},
			want: 5, atLeast: 5,
		},
		"a sample that failed": {
			samples: []LagSample{sampleOf(at(0), part{100, 0, 50}), unknownSample(at(5), "t", "g", "no broker answers")},
			want:    -1, reason: "no broker answers", atLeast: -1,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := NewRateMeter(0)
			var r Rates
			for _, s := range tt.samples {
				r = m.Observe(s)
			}
			if tt.want < 0 {
				wantUnknown(t, "offered", r.Offered, tt.reason)
			} else {
				wantValue(t, "offered", r.Offered, tt.want)
			}
			if tt.atLeast < 0 {
				wantUnknown(t, "offered at least", r.OfferedAtLeast, tt.reason)
			} else {
				wantValue(t, "offered at least", r.OfferedAtLeast, tt.atLeast)
			}
			if (tt.reset == "") != (r.Reset == "") || !strings.Contains(r.Reset, tt.reset) {
				t.Errorf("reset = %q, want %q", r.Reset, tt.reset)
			}
		})
	}
}

func TestLeaderEpochTellsATopicMadeAnew(t *testing.T) {
	m := NewRateMeter(0)
	old := sampleOf(start, part{100, 0, 50})
	old.Partitions[0].LeaderEpoch = 7
	m.Observe(old)
	young := sampleOf(start.Add(5*time.Second), part{900, 0, -1})
	r := m.Observe(young)
	wantUnknown(t, "offered", r.Offered, "leader epoch")
}

func TestServed(t *testing.T) {
	const beat = 5 * time.Second
	// committed gives what the group has committed on one partition at a beat.
	run := func(beats int, window time.Duration, parts func(i int) []part) Rates {
		m := NewRateMeter(window)
		var r Rates
		for i := range beats {
			r = m.Observe(sampleOf(start.Add(time.Duration(i)*beat), parts(i)...))
		}
		return r
	}
	t.Run("too young", func(t *testing.T) {
		r := run(12, 0, func(i int) []part { return []part{{1000, 0, int64(i) * 10}} })
		wantUnknown(t, "served", r.Served, "measured for 55s, needs 1m0s")
		wantUnknown(t, "lag time", r.LagTime, "needs 1m0s")
	})
	t.Run("steady", func(t *testing.T) {
		r := run(13, 0, func(i int) []part { return []part{{1000, 0, int64(i) * 10}} })
		wantValue(t, "served", r.Served, 2)
		wantValue(t, "lag time", r.LagTime, 440)
		wantValue(t, "commit interval", r.CommitInterval, 5)
	})
	t.Run("commits every 40 s stretch the window to two of them", func(t *testing.T) {
		// After 60 s only one step would be seen in the wrong moment.
		r := run(40, 0, func(i int) []part { return []part{{100000, 0, int64(i/8) * 800}} })
		wantValue(t, "commit interval", r.CommitInterval, 40)
		wantValue(t, "served", r.Served, 20)
	})
	t.Run("nothing to do", func(t *testing.T) {
		r := run(13, 0, func(int) []part { return []part{{1000, 0, 1000}} })
		wantValue(t, "served", r.Served, 0)
		wantValue(t, "lag time", r.LagTime, 0)
		wantUnknown(t, "commit interval", r.CommitInterval, "0 commits")
	})
	t.Run("stuck", func(t *testing.T) {
		r := run(13, 0, func(int) []part { return []part{{1000, 0, 10}} })
		wantUnknown(t, "served", r.Served, "stuck")
	})
	t.Run("retention is not service", func(t *testing.T) {
		r := run(13, 0, func(i int) []part {
			if i == 0 {
				return []part{{10000, 0, 0}}
			}
			return []part{{10000, 9000, 9060}}
		})
		wantValue(t, "served", r.Served, 1)
	})
	t.Run("commit on a partition that was empty", func(t *testing.T) {
		r := run(13, 0, func(i int) []part {
			switch i {
			case 0:
				return []part{{40, 40, -1}}
			case 1:
				return []part{{160, 40, -1}}
			default:
				return []part{{160, 40, 160}}
			}
		})
		wantValue(t, "served", r.Served, 2)
	})
	t.Run("first commit on old messages is no progress", func(t *testing.T) {
		r := run(13, 0, func(i int) []part {
			if i == 0 {
				return []part{{1000, 0, -1}}
			}
			return []part{{1000, 0, 1000}}
		})
		wantValue(t, "served", r.Served, 0)
	})
	t.Run("offsets set back begin a new window", func(t *testing.T) {
		r := run(14, 0, func(i int) []part {
			if i < 13 {
				return []part{{1000, 0, int64(i) * 10}}
			}
			return []part{{1000, 0, 0}}
		})
		wantUnknown(t, "served", r.Served, "measured for 0s")
	})
	t.Run("progress on a partition unknown for a while is caught up", func(t *testing.T) {
		r := run(13, 0, func(i int) []part {
			if i == 5 {
				return []part{{1000, 0, int64(i) * 10}, gone}
			}
			return []part{{1000, 0, int64(i) * 10}, {1000, 0, int64(i) * 20}}
		})
		wantValue(t, "served", r.Served, 6)
	})
	t.Run("unknown now", func(t *testing.T) {
		r := run(13, 0, func(i int) []part {
			if i == 12 {
				return []part{gone}
			}
			return []part{{1000, 0, int64(i) * 10}}
		})
		wantUnknown(t, "served", r.Served, "not every committed offset")
	})
}

// Whatever the samples, no rate is negative, and the whole is never known to
// be less than a part.
func TestRatesAreNeverNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewRateMeter(10 * time.Second)
		at := start
		offsets := rapid.Int64Range(-2, 50)
		for range rapid.IntRange(1, 30).Draw(t, "samples") {
			at = at.Add(time.Duration(rapid.IntRange(-1, 8).Draw(t, "seconds")) * time.Second)
			var parts []part
			for range rapid.IntRange(0, 3).Draw(t, "partitions") {
				parts = append(parts, part{
					end:       max(-1, offsets.Draw(t, "end")),
					start:     max(-1, offsets.Draw(t, "start")),
					committed: offsets.Draw(t, "committed"),
				})
			}
			s := sampleOf(at, parts...)
			r := m.Observe(s)
			for what, v := range map[string]reading.Reading{
				"lag": s.Lag, "lag at least": s.AtLeast, "offered": r.Offered, "offered at least": r.OfferedAtLeast,
				"served": r.Served, "lag time": r.LagTime, "commit interval": r.CommitInterval,
			} {
				if v.Known && v.Value < 0 {
					t.Fatalf("%s = %v after %+v", what, v, s)
				}
				if !v.Known && v.Reason == "" && len(parts) > 0 {
					t.Fatalf("%s is unknown without a reason", what)
				}
			}
			if s.Lag.Known && s.Lag != s.AtLeast {
				t.Fatalf("lag %v is known and differs from %v", s.Lag, s.AtLeast)
			}
		}
	})
}
