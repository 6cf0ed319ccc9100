package front

import (
	"container/heap"
	"net/http"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// flawed is what a front sends to twenty cells, of which the first answers a share of
// its requests with an error at once.
type flawed struct {
	service time.Duration // mean of what a good answer takes
	errs    float64
}

type ended struct {
	at    time.Time
	id    string
	took  time.Duration
	erred bool
}

type endings []ended

func (e endings) Len() int           { return len(e) }
func (e endings) Less(a, b int) bool { return e[a].at.Before(e[b].at) }
func (e endings) Swap(a, b int)      { e[a], e[b] = e[b], e[a] }
func (e *endings) Push(x any) {
	if one, ok := x.(ended); ok {
		*e = append(*e, one)
	}
}
func (e *endings) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// drawn is the share of requests that the flawed cell gets.
func (f flawed) drawn() float64 {
	const cells, each, requests, unseen = 20, 2.4, 20000, 2000
	c, rng, now := NewChooser(rule()), chance(), epoch
	c.SetMembers(epoch, cellsOf(make20(fleet.Passing)...))
	rate := cells * each / f.service.Seconds()
	var under endings
	flight, got := map[string]int{}, 0
	for n := range requests {
		now = now.Add(time.Duration(rng.ExpFloat64() / rate * float64(time.Second)))
		for under.Len() > 0 && under[0].at.Before(now) {
			e, _ := heap.Pop(&under).(ended)
			flight[e.id]--
			c.Ended(e.at, e.id)
			c.Learn(e.at, e.id, load.Report{InFlight: flight[e.id], Limit: 20, Latency: f.service, Crawlers: true})
			if e.erred {
				c.Erred(e.at, e.id)
			} else {
				c.Answered(e.at, e.id, e.took)
			}
		}
		id, _ := c.Choose(now, rng)
		c.Began(now, id)
		flight[id]++
		e := ended{id: id, took: time.Duration((0.5 + rng.Float64()) * float64(f.service)), erred: id == "a" && rng.Float64() < f.errs}
		if e.erred {
			e.took = time.Millisecond
		}
		e.at = now.Add(e.took)
		heap.Push(&under, e)
		if n >= unseen && id == "a" {
			got++
		}
	}
	return float64(got) / (requests - unseen)
}

func make20(h fleet.Health) []fleet.Health {
	all := make([]fleet.Health, 20)
	for i := range all {
		all[i] = h
	}
	return all
}

// A cell that answers errors at once draws no more than its part, and the less the
// more of its answers they are.
func TestQuickErrorsDrawNoClients(t *testing.T) {
	for name, c := range map[string]struct {
		flawed
		most float64
	}{
		"all, short":    {flawed{20 * time.Millisecond, 1}, 0.02},
		"all":           {flawed{100 * time.Millisecond, 1}, 0.02},
		"all, long":     {flawed{500 * time.Millisecond, 1}, 0.03},
		"half":          {flawed{100 * time.Millisecond, 0.5}, 0.05},
		"a fifth":       {flawed{100 * time.Millisecond, 0.2}, 0.055},
		"a fifth, long": {flawed{500 * time.Millisecond, 0.2}, 0.055},
	} {
		t.Run(name, func(t *testing.T) {
			share := c.drawn()
			t.Logf("%.1f %% of the clients, its part is 5 %%", 100*share)
			if share > c.most {
				t.Errorf("more than %.1f %%", 100*c.most)
			}
			if share == 0 {
				t.Error("it is never tried again")
			}
		})
	}
}

// Where all err alike nobody is avoided, and no client leaves its cell for that.
func TestErrorsOfAll(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing, fleet.Passing)
	for range 100 {
		for _, id := range []string{"a", "b", "c"} {
			c.Erred(epoch, id)
		}
	}
	only(t, chosen(c, epoch), "a", "b", "c")
	if !c.Keeps(epoch, "a") {
		t.Error("a's clients are sent to another that errs as much")
	}
}

// A single error is nobody's undoing.
func TestOneError(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing)
	c.Erred(epoch, "a")
	if !c.Keeps(epoch, "a") {
		t.Error("a client left its cell for one error")
	}
	for range 3 {
		epoch := epoch.Add(time.Second)
		c.Erred(epoch, "a")
	}
	c.Answered(epoch.Add(time.Minute), "a", time.Millisecond)
	if !c.Keeps(epoch.Add(time.Minute), "a") {
		t.Error("errors of a minute ago are held against it")
	}
}

func TestClientsLeaveACellThatErrs(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Sticky, f.StickyHeader = policy.StickyHeader, "X-Client" })
	broken := h.add("api-1")
	broken.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	h.add("api-2")
	h.add("api-3")
	failed := 0
	for i := range 300 {
		answer, _ := h.get("/", func(r *http.Request) { r.Header.Set("X-Client", string(rune('a'+i%26))) })
		if answer.StatusCode != http.StatusOK {
			failed++
		}
	}
	if failed > 60 || failed != int(broken.hits.Load()) {
		t.Errorf("%d of 300 requests got an error, %d were sent to the cell that errs", failed, broken.hits.Load())
	}
}
