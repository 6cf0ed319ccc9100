package loop

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
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

// TestAdoptedSpoolsCountOnce has a cell die with 500 messages in its spool, which
// were counted when they came: sent by another cell they are not offered anew.
func TestAdoptedSpoolsCountOnce(t *testing.T) {
	e := newEyes(&policy.Service{KafkaLag: &policy.KafkaLag{Topic: "urls"}})
	at := time.Unix(1000, 0)
	vitals := func(cell string, v sense.Vitals) sense.Result {
		return sense.Result{Sibling: sense.Sibling{Cell: cell, Incarnation: "i1"}, Vitals: v}
	}
	own := func(depth int) sense.Vitals { return sense.Vitals{Spools: map[string]int{"urls": depth, "pages": 7}} }
	adopted := func(depth int) sense.Vitals {
		return sense.Vitals{Adopted: map[string]map[string]int{"api-1": {"urls": depth}}}
	}
	for i, step := range []struct {
		results []sense.Result
		end     int64
		want    float64
	}{
		{[]sense.Result{vitals("api-1", own(0))}, 0, -1},
		{[]sense.Result{vitals("api-1", own(500))}, 0, 100},
		{[]sense.Result{{Err: errors.New("it is dead")}}, 0, 0},
		{[]sense.Result{vitals("api-2", adopted(500))}, 0, 0},
		{[]sense.Result{vitals("api-2", adopted(100))}, 400, 0},
		{[]sense.Result{vitals("api-2", adopted(0))}, 600, 20},
	} {
		at = at.Add(5 * time.Second)
		lag := sense.LagSample{At: at, Topic: "urls", PartitionCount: reading.Of(1, at), Partitions: []sense.PartitionLag{{End: step.end, LeaderEpoch: 1}}}
		obs := e.observe(view{at: at, lag: &lag, spools: depthsOf(step.results, "urls")}, books{}, &memory{})
		if got := obs.Offered; got.Known != (step.want >= 0) || got.Known && got.Value != step.want {
			t.Errorf("step %d: offered %+v, want %g", i, got, step.want)
		}
	}
}

// TestThoseThatLeaveServe counts the cells behind what is served: one that leaves
// is not ready, and has its part in it; one that is just born serves nothing.
func TestThoseThatLeaveServe(t *testing.T) {
	at := time.Unix(1000, 0)
	v := view{at: at, byCell: map[string]sense.Vitals{}, leaving: map[string]fleet.Leaving{"api-2": {}}}
	for name, served := range map[string]float64{"api-1": 100, "api-2": 80, "api-3": 0} {
		v.byCell[name] = sense.Vitals{Served: reading.Of(served, at)}
		v.members = append(v.members, fleet.Member{Cell: fleet.Cell{Name: name}, Health: fleet.Passing})
	}
	obs := newEyes(&policy.Service{}).observe(v, books{names: []string{"api-1", "api-2"}}, &memory{})
	if obs.Ready != 1 || obs.Serving != 2 {
		t.Errorf("%d ready, %d serving, want 1 and 2", obs.Ready, obs.Serving)
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
