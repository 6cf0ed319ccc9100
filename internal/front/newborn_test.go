package front

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

// refuge is many cells that are over their bounds, each with a chooser of its own and
// clients to send on, and one that was just born and has room.
type refuge struct {
	siblings int
	limit    int           // of the newborn
	service  time.Duration // that a client stays there, exponential
	rate     float64       // clients a sibling has to send on, per second
	length   time.Duration // the first third isn't counted
	seed     uint64
}

// departures are when clients leave the newborn.
type departures []time.Duration

func (d departures) Len() int           { return len(d) }
func (d departures) Less(a, b int) bool { return d[a] < d[b] }
func (d departures) Swap(a, b int)      { d[a], d[b] = d[b], d[a] }
func (d *departures) Push(x any) {
	if one, ok := x.(time.Duration); ok {
		*d = append(*d, one)
	}
}
func (d *departures) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// run returns the share of those sent to the newborn that found it full, and the share of
// its room that is in use, both but for the first third.
func (s refuge) run() (turnedAway, used float64) {
	rng := rand.New(rand.NewPCG(s.seed, 7))
	members := allMembers(s.siblings + 1)
	newborn := fmt.Sprint(s.siblings)
	members[s.siblings].Born = epoch
	var all []*Chooser
	for range s.siblings {
		c := NewChooser(rule())
		c.SetMembers(epoch, members)
		all = append(all, c)
	}
	const step = 20 * time.Millisecond
	chance := func(rate float64) bool { return rng.Float64() < rate*step.Seconds() }
	var there departures
	sent, refused, occupied, steps := 0, 0, 0.0, 0
	for at := time.Duration(0); at < s.length; at += step {
		now := epoch.Add(at)
		for there.Len() > 0 && there[0] <= at {
			heap.Pop(&there)
		}
		for i, c := range all {
			if chance(rule().Probes) {
				if id := c.NextProbe(now, rng); id == newborn {
					c.Learn(now, id, load.Report{InFlight: len(there), Limit: s.limit, Latency: s.service, Hot: len(there) >= s.limit*9/10, Crawlers: true})
				} else if id != fmt.Sprint(i) {
					c.Learn(now, id, load.Report{InFlight: 20, Limit: 20, Hot: true, Latency: time.Second})
				}
			}
			if !chance(s.rate) {
				continue
			}
			id, ok := c.WithRoom(now, rng, false, fmt.Sprint(i))
			if !ok {
				continue
			}
			c.Handed(id)
			full := len(there) >= s.limit
			if !full {
				heap.Push(&there, at+time.Duration(rng.ExpFloat64()*float64(s.service)))
			}
			if at > s.length/3 {
				if sent++; full {
					refused++
				}
			}
		}
		if at > s.length/3 {
			occupied += float64(len(there)) / float64(s.limit)
			steps++
		}
	}
	return float64(refused) / float64(max(sent, 1)), occupied / float64(steps)
}

// Many cells over their bounds and one that is just born: what they send there finds
// room mostly, and its room is used.
func TestOverloadedSiblingsDontHerdOnANewborn(t *testing.T) {
	for name, s := range map[string]refuge{
		"few, short":  {siblings: 20, limit: 20, service: 100 * time.Millisecond, rate: 50, length: 30 * time.Second},
		"few, long":   {siblings: 20, limit: 20, service: time.Second, rate: 50, length: 30 * time.Second},
		"many, short": {siblings: 120, limit: 20, service: 100 * time.Millisecond, rate: 20, length: 9 * time.Second},
		"many, long":  {siblings: 120, limit: 20, service: time.Second, rate: 20, length: 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s.seed = 1
			turnedAway, used := s.run()
			t.Logf("%.1f %% of those sent find it full, %.0f %% of its room is used", 100*turnedAway, 100*used)
			if turnedAway > 0.1 {
				t.Error("they herd on it")
			}
			if used < 0.3 {
				t.Error("its room isn't used")
			}
		})
	}
}
