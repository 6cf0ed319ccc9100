package loop

import (
	"slices"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// TestSpoolsCountAsOffered has 100 messages a second produced while the spools
// before the topic grow, and then shrink.
func TestSpoolsCountAsOffered(t *testing.T) {
	e := newEyes(&policy.Service{KafkaLag: &policy.KafkaLag{Topic: "urls"}})
	at := time.Unix(1000, 0)
	for i, step := range []struct {
		depth int
		want  float64
	}{{1000, -1}, {1500, 200}, {1400, 80}, {0, 0}} {
		at = at.Add(5 * time.Second)
		lag := sense.LagSample{At: at, Topic: "urls", PartitionCount: reading.Of(1, at), Partitions: []sense.PartitionLag{{End: int64(500 * i), LeaderEpoch: 1}}}
		obs := e.observe(view{at: at, lag: &lag, spools: map[string]int{"api-1.i1": step.depth}}, books{}, &memory{})
		if got := obs.Offered; got.Known != (step.want >= 0) || got.Known && got.Value != step.want {
			t.Errorf("step %d: offered %+v, want %g", i, got, step.want)
		}
	}
}

func TestFeeders(t *testing.T) {
	reader := &policy.Service{Name: "crawler", KafkaLag: &policy.KafkaLag{Topic: "urls"}}
	p := &policy.Policy{Services: []*policy.Service{
		reader, {Name: "api", Spool: &policy.Spool{Topics: []string{"pages", "urls"}}}, {Name: "other", Spool: &policy.Spool{Topics: []string{"pages"}}},
	}}
	if got := Feeders(p, reader); !slices.Equal(got, []string{"api"}) {
		t.Errorf("got %v", got)
	}
	if got := Feeders(p, p.Services[1]); got != nil {
		t.Errorf("a service that reads no topic has %v before it", got)
	}
}
