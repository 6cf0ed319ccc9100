package main

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// The times by which the law decides are a fifth of their defaults, so that the
// example, stretched five-fold, behaves as a service with all defaults does.
func TestPolicyIsTheUsualOneCompressed(t *testing.T) {
	law, usual := reflect.ValueOf(stretched(livePolicy(t)).Law), reflect.ValueOf(balance.DefaultLaw())
	asUsual := map[string]bool{
		"LagAllowance": true, // of what is measured, which is no faster here
		"GapMax":       true,
		// Without a bound on latency there is no guard.
		"GuardTime": true,
	}
	for i := range law.NumField() {
		name := law.Type().Field(i).Name
		if asUsual[name] || name == "Utilization" || name == "RequestUtilization" {
			continue
		}
		if got, want := law.Field(i).Interface(), usual.Field(i).Interface(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v five-fold; the default is %v", name, got, want)
		}
	}
	if cfg := stretched(livePolicy(t)); cfg.Beat != 5*time.Second || cfg.WaitBound != 30*time.Second {
		t.Errorf("a beat of %s and a wait of %s five-fold; the defaults are 5s and 30s", cfg.Beat, cfg.WaitBound)
	}
}

// The figures that the programs share with the policy.
func TestRigKnowsThePolicy(t *testing.T) {
	s := livePolicy(t)
	if s.Name != service || s.KafkaLag.Topic != jobs || s.KafkaLag.Upper != upper {
		t.Errorf("the policy has service %q, topic %q, at most %s", s.Name, s.KafkaLag.Topic, s.KafkaLag.Upper)
	}
	if s.Max <= peakWorkers {
		t.Errorf("the policy allows %d workers, and the busiest step needs %d", s.Max, peakWorkers)
	}
}

func TestPlanFollowsTheTrace(t *testing.T) {
	p, err := readPlan("", "", 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if p.lasts() != 2*time.Minute {
		t.Errorf("it lasts %s", p.lasts())
	}
	if most := peakWorkers * peakBusy * workerRate; p.most() > most || p.most() < 0.9*most {
		t.Errorf("the most is %.0f a second, which should be what %d workers do, %.0f", p.most(), peakWorkers, most)
	}
	random := rand.New(rand.NewPCG(1, 1))
	expected, jobs, last := 0.0, 0, time.Duration(0)
	for _, rate := range p.rates {
		expected += rate
	}
	for due := range p.due(random.ExpFloat64) {
		if due < last || due > p.lasts() {
			t.Fatalf("a job is due at %s, after one at %s", due, last)
		}
		jobs, last = jobs+1, due
	}
	if math.Abs(float64(jobs)-expected) > 5*math.Sqrt(expected) {
		t.Errorf("%d jobs are due, and %.0f were expected", jobs, expected)
	}
}

func TestPlanNeedsALoad(t *testing.T) {
	if _, err := readPlan("", "1998-07-26 21:59:00", time.Minute); err == nil {
		t.Error("the trace's last minute is taken for a load to play")
	}
}

// An order of two and the removal of one, as Consul would show them look by look.
func TestWatchSeesOrders(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	member := func(name string, health fleet.Health) fleet.Member {
		return fleet.Member{Cell: fleet.Cell{Name: name}, Health: health}
	}
	one, two, three := member("worker-1", fleet.Passing), member("worker-2", fleet.Passing), member("worker-3", fleet.Passing)
	starting := member("worker-2", fleet.Critical)
	birth := fleet.Order{ID: "1-1", Placed: at(1), Add: []fleet.Newborn{{Name: "worker-2"}, {Name: "worker-3"}}}
	removal := fleet.Order{ID: "1-2", Placed: at(21), Remove: []string{"worker-3"}}
	mark := []fleet.Leaving{{Cell: "worker-3", Since: at(20)}}
	names := []string{"worker-1", "worker-2", "worker-3"}

	w := &watch{orders: map[string]*order{}}
	w.note(at(0), &fleet.Record{Names: names[:1]}, nil, []fleet.Member{one})
	w.note(at(2), &fleet.Record{Names: names, Orders: []fleet.Order{birth}}, nil, []fleet.Member{one, starting})
	w.note(at(5), &fleet.Record{Names: names, Orders: []fleet.Order{birth}}, nil, []fleet.Member{one, two})
	w.note(at(6), &fleet.Record{Names: names, Orders: []fleet.Order{birth}}, nil, []fleet.Member{one, two, three})
	w.note(at(7), &fleet.Record{Names: names}, nil, []fleet.Member{one, two, three})
	w.note(at(20.5), &fleet.Record{Names: names}, mark, []fleet.Member{one, two, three})
	w.note(at(22), &fleet.Record{Names: names[:2], Orders: []fleet.Order{removal}}, mark, []fleet.Member{one, two, three})
	w.note(at(23), &fleet.Record{Names: names[:2]}, nil, []fleet.Member{one, two})

	counts, orders := w.seen()
	var ready []int
	for _, c := range counts {
		ready = append(ready, c.ready)
	}
	if want := []int{1, 1, 2, 3, 3, 2, 2, 2}; !reflect.DeepEqual(ready, want) {
		t.Errorf("ready: %v, want %v", ready, want)
	}
	if len(orders) != 2 {
		t.Fatalf("%d orders were seen: %+v", len(orders), orders)
	}
	up, down := orders[0], orders[1]
	if up.delta != 2 || !up.placed.Equal(at(1)) || !up.taken.Equal(at(5.5)) || !up.closed.Equal(at(7)) {
		t.Errorf("the births: %+v", up)
	}
	if down.delta != -1 || !down.placed.Equal(at(20)) || !down.taken.Equal(at(20.5)) || !down.closed.Equal(at(23)) {
		t.Errorf("the removal: %+v", down)
	}
}
