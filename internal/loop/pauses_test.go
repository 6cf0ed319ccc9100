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
	three := []sample{stable(1), moving, stable(2), moving, stable(3), moving, stable(4)}
	const unknown = -1
	for name, c := range map[string]struct {
		samples []sample // after three rebalances that were seen once each
		want    float64
	}{
		"none other":                  {nil, unknown},
		"one under way":               {[]sample{moving, completing}, unknown},
		"a fourth":                    {[]sample{moving, stable(5)}, 5},
		"one that went by unseen":     {[]sample{stable(5)}, 15.0 / 4},
		"a member that hung":          {[]sample{moving, moving, moving, completing, moving, moving, stable(5)}, 5},
		"two that were long":          {[]sample{moving, completing, stable(5), moving, moving, completing, stable(6)}, 7},
		"a state that wasn't read":    {[]sample{moving, unread, stable(5), moving, unread, stable(6)}, 7},
		"and not for long":            {[]sample{moving, unread, unread, unread, stable(5)}, unknown},
		"other members after it":      {[]sample{unread, unread, unread, stable(5)}, unknown},
		"all members left":            {[]sample{empty, stable(5)}, unknown},
		"while it was rebalancing":    {[]sample{moving, empty, stable(5)}, unknown},
		"a group that is gone":        {[]sample{dead, stable(5)}, unknown},
		"members that read on":        {[]sample{{"Stable", "cooperative-sticky", 4}}, 0},
		"a stream's members":          {[]sample{{"Stable", "stream", 4}}, 0},
		"that don't any more":         {[]sample{{"Stable", "stream", 4}, stable(5), moving, stable(6), stable(7), stable(8)}, unknown},
		"and what is seen from then":  {[]sample{{"Stable", "stream", 4}, stable(5), moving, stable(6), stable(7), stable(8), stable(9)}, 5.0 / 4},
		"a protocol that isn't known": {[]sample{moving, {"Stable", "", 5}}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch()
			var r reading.Reading
			for _, s := range append(three[:len(three):len(three)], c.samples...) {
				r = w.sample(s.state, s.protocol, s.members)
			}
			if r.Known != (c.want != unknown) || r.Known && r.Value != c.want {
				t.Errorf("%+v, want %g", r, c.want)
			}
		})
	}
}

// A group of the new consumer protocol is shown as dead, and reads on.
func TestNoPauseOfTheNewProtocol(t *testing.T) {
	s := groupSample(time.Unix(1000, 0), "Dead", "", 0)
	s.Partitions = []sense.PartitionLag{{Committed: -1, CommittedKnown: true}, {Committed: 7}}
	if r := watch().meter.observe(s); r.Known {
		t.Errorf("%+v of a group that isn't known to have committed", r)
	}
	s.Partitions[1].CommittedKnown = true
	if r := watch().meter.observe(s); !r.Known || r.Value != 0 {
		t.Errorf("%+v, want no pause", r)
	}
}

// A beat that comes early, since an order has just landed, finds partitions moving more
// often than others do.
func TestEarlyBeatsDontCount(t *testing.T) {
	w := watch()
	w.sample("Stable", "range", 1)
	var r reading.Reading
	for k := range uint64(8) {
		w.meter.observe(groupSample(w.now.Add(time.Second), "PreparingRebalance", "", 9))
		r = w.sample("Stable", "range", 2+k)
	}
	if !r.Known || r.Value != 0 {
		t.Errorf("%+v, want 0: no beat in time saw one", r)
	}
}

// What was seen before the clock was set back is dropped.
func TestPauseWhileTheClockIsSet(t *testing.T) {
	w := watch()
	w.sample("Stable", "range", 1)
	for k := range uint64(3) {
		w.sample("PreparingRebalance", "", 9)
		w.sample("Stable", "range", 2+k)
	}
	w.sample("PreparingRebalance", "", 9)
	w.now = w.now.Add(-time.Hour)
	if r := w.sample("Stable", "range", 6); r.Known {
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
	for i := range 9 {
		state := "Stable"
		if i%2 == 1 {
			state = "PreparingRebalance"
		}
		at = at.Add(5 * time.Second)
		obs := e.observe(view{at: at, lag: groupSample(at, state, "", uint64(1+i))}, books{}, &memory{})
		if r := obs.RebalancePause; r.Known != (i == 8) || r.Known && r.Value != 5 {
			t.Errorf("sample %d: %+v", i, r)
		}
	}
}
