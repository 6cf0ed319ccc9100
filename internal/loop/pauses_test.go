package loop

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// watched is a group that is sampled every five seconds.
type watched struct {
	meter pauseMeter
	now   time.Time
}

func watch() *watched {
	return &watched{meter: pauseMeter{beat: 5 * time.Second}, now: time.Unix(1_000_000_000, 0)}
}

func (w *watched) sample(state, protocol string, members uint64) reading.Reading {
	w.now = w.now.Add(5 * time.Second)
	return w.meter.observe(groupSample(w.now, state, protocol, members))
}

func groupSample(at time.Time, state, protocol string, members uint64) *sense.LagSample {
	return &sense.LagSample{
		At: at, GroupState: state, Protocol: protocol, MemberSet: members,
		Rebalancing: state == "PreparingRebalance" || state == "CompletingRebalance",
	}
}

func TestPauseMeter(t *testing.T) {
	type sample struct {
		state, protocol string
		members         uint64
	}
	stable := func(members uint64) sample { return sample{"Stable", "range", members} }
	moving, completing, unread, empty, dead := sample{state: "PreparingRebalance", members: 9},
		sample{state: "CompletingRebalance", members: 9}, sample{}, sample{state: "Empty"}, sample{state: "Dead"}
	const unknown = -1
	for name, c := range map[string]struct {
		samples []sample
		want    float64
	}{
		"none seen":                   {[]sample{stable(1), stable(1)}, unknown},
		"one under way":               {[]sample{stable(1), moving, completing}, unknown},
		"the first counts as a beat":  {[]sample{stable(1), moving, completing, stable(2)}, 5},
		"two of two beats":            {[]sample{stable(1), moving, moving, stable(2), moving, completing, stable(3)}, 10},
		"one went by unseen":          {[]sample{stable(1), moving, stable(2), stable(3)}, 2.5},
		"two went by unseen":          {[]sample{stable(1), moving, stable(2), stable(3), stable(2)}, 5.0 / 3},
		"a member that hung":          {[]sample{moving, stable(2), moving, moving, moving, moving, moving, moving, stable(3)}, 5},
		"a state that wasn't read":    {[]sample{stable(1), moving, unread, stable(2), moving, unread, stable(3)}, 10},
		"and not for long":            {[]sample{stable(1), moving, unread, unread, unread, unread, stable(2)}, unknown},
		"other members after it":      {[]sample{stable(1), unread, unread, unread, unread, stable(2)}, unknown},
		"all members left":            {[]sample{stable(1), moving, stable(2), empty, empty, stable(3)}, 5},
		"while it was rebalancing":    {[]sample{stable(1), moving, stable(2), moving, empty, stable(3)}, 5},
		"a group that is gone":        {[]sample{stable(1), moving, stable(2), dead, stable(3)}, 5},
		"members that read on":        {[]sample{stable(1), moving, {"Stable", "cooperative-sticky", 2}}, 0},
		"a stream's members":          {[]sample{stable(1), moving, {"Stable", "stream", 2}}, 0},
		"that don't any more":         {[]sample{{"Stable", "cooperative-sticky", 1}, moving, {"Stable", "cooperative-sticky", 2}, stable(3)}, unknown},
		"and what is seen from then":  {[]sample{{"Stable", "cooperative-sticky", 1}, stable(2), moving, stable(3), stable(4)}, 2.5},
		"a stable group's is unknown": {[]sample{stable(1), moving, {"Stable", "", 2}, stable(2)}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch()
			var r reading.Reading
			for _, s := range c.samples {
				r = w.sample(s.state, s.protocol, s.members)
			}
			if r.Known != (c.want != unknown) || r.Known && r.Value != c.want {
				t.Errorf("%+v, want %g", r, c.want)
			}
		})
	}
}

// What was seen before the clock was set back is dropped.
func TestPauseWhileTheClockIsSet(t *testing.T) {
	w := watch()
	w.sample("Stable", "range", 1)
	w.sample("PreparingRebalance", "", 1)
	w.now = w.now.Add(-time.Hour)
	if r := w.sample("Stable", "range", 2); r.Known {
		t.Errorf("%+v", r)
	}
}

// Rebalances at any time, of which a sample every five seconds sees few, are measured by
// their length on average.
func TestPausesShorterThanABeat(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, pause := range []float64{0.25, 1, 2, 5, 12} {
		w := watch()
		w.sample("Stable", "range", 1)
		sum, n := 0.0, 0
		for k := range 4000 {
			members := uint64(2 + k)
			for at := rng.Float64() * 5; at < pause; at += 5 {
				w.sample("PreparingRebalance", "", members)
			}
			r := w.sample("Stable", "range", members)
			if k >= pausesKept {
				sum, n = sum+r.Value, n+1
			}
		}
		if mean := sum / float64(n); math.Abs(mean-pause) > 0.1*pause {
			t.Errorf("%.3g s on average, want %.3g", mean, pause)
		}
	}
}

// The law is told of what the group's samples show.
func TestPausesAreObserved(t *testing.T) {
	e := newEyes(&policy.Service{Beat: 5 * time.Second, KafkaLag: &policy.KafkaLag{Topic: "urls"}})
	at := time.Unix(1000, 0)
	for i, state := range []string{"Stable", "PreparingRebalance", "Stable"} {
		at = at.Add(5 * time.Second)
		obs := e.observe(view{at: at, lag: groupSample(at, state, "", uint64(1+i))}, books{}, &memory{})
		if r := obs.RebalancePause; r.Known != (i == 2) || r.Known && r.Value != 5 {
			t.Errorf("sample %d: %+v", i, r)
		}
	}
}
