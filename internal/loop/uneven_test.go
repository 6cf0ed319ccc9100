package loop

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

func TestUnevenMeter(t *testing.T) {
	var m unevenMeter
	now := time.Unix(1_000_000_000, 0)
	sample := func(committed ...int64) *sense.LagSample {
		s := &sense.LagSample{At: now, GroupState: "Stable"}
		for i, c := range committed {
			s.Partitions = append(s.Partitions, sense.PartitionLag{Partition: i, End: 100, Committed: c, CommittedKnown: true, Lag: 100 - c, Known: true})
		}
		return s
	}
	m.laggards(sample(10, 50, 100))
	now = now.Add(time.Minute)
	got := m.laggards(sample(10, 60, 100))
	if len(got) != 2 || got[0] != (balance.Partition{Number: 0, Lag: 90, Still: time.Minute}) || got[1] != (balance.Partition{Number: 1, Lag: 40}) {
		t.Errorf("%+v, want partition 0 first and still for a minute, then 1", got)
	}
	now = now.Add(8 * time.Second)
	m.laggards(sample(20, 60, 100))
	now = now.Add(time.Second)
	if got = m.laggards(sample(20, 100, 100)); len(got) != 1 || got[0].Still != time.Second {
		t.Errorf("%+v, want one second since its last commit", got)
	}
}

// What a policy may ask for is what the law keeps.
func TestPolicyKnowsTheLawsLimit(t *testing.T) {
	if policy.MostBeats != balance.MostBeats {
		t.Errorf("policies are checked against %d beats, the law keeps %d", policy.MostBeats, balance.MostBeats)
	}
}
