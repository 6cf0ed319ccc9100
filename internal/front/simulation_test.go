package front

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// simulation is some fronts before many cells. A cell works on a few requests
// side by side and queues the others; what it reports is what was true of it one
// to ten seconds ago.
type simulation struct {
	cells, fronts int
	workers       int           // requests a cell works on side by side
	service       time.Duration // mean, exponential
	load          float64       // share of all cells' capacity that is offered
	length        time.Duration // the first third isn't counted
	reportMin     time.Duration
	reportMax     time.Duration
	slow          func(cell int, at time.Duration) float64 // how many times slower
	newborn       int                                      // the cell that has only just been born; 0 for none
	seed          uint64
}

// balancer is a way of choosing, for one front.
type balancer interface {
	choose(now time.Time) int
	sent(now time.Time, cell int)
	back(now time.Time, cell int, took time.Duration, r load.Report)
	probe(now time.Time) (cell int, ok bool) // whom to ask
	told(now time.Time, cell int, r load.Report)
}

// outcome are a run's measures: the latency's quantiles, the coefficient of
// variation of the cells' in-flight counts, and the fullest cell's against the
// mean.
type outcome struct {
	p50, p99, p999 time.Duration
	cv, peak       float64
	requests       int
}

func (o outcome) String() string {
	return fmt.Sprintf("p50 %4.0f ms, p99 %5.0f ms, p99.9 %5.0f ms, CV %.2f, fullest/mean %5.1f", ms(o.p50), ms(o.p99), ms(o.p999), o.cv, o.peak)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// simulated is the state of one cell.
type simulated struct {
	working int
	queue   []*request
	latency float64
	past    []load.Report // one every tick, the newest last
}

type request struct {
	cell, front int
	began       time.Duration
}

type event struct {
	at   time.Duration
	kind int
	r    *request
}

const (
	arrival = iota
	done
	tick
	probing
)

// every tick the cells' loads are noted for the reports to come.
const every = 100 * time.Millisecond

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(a, b int) bool { return e[a].at < e[b].at }
func (e events) Swap(a, b int)      { e[a], e[b] = e[b], e[a] }
func (e *events) Push(x any) {
	if one, ok := x.(event); ok {
		*e = append(*e, one)
	}
}
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// epoch is when simulations begin.
var epoch = time.Unix(1e9, 0)

func (s simulation) run(newBalancer func(rng *rand.Rand, members []Member) balancer) outcome {
	rng := rand.New(rand.NewPCG(s.seed, 1))
	members := allMembers(s.cells)
	if s.newborn > 0 {
		members[s.newborn].Born = epoch
	}
	fronts := []balancer{}
	for range s.fronts {
		fronts = append(fronts, newBalancer(rng, members))
	}
	cells := slices.Repeat([]simulated{{}}, s.cells)
	rate := s.load * float64(s.cells*s.workers) / s.service.Seconds()
	exponential := func(mean time.Duration) time.Duration { return time.Duration(rng.ExpFloat64() * float64(mean)) }
	todo := &events{{kind: arrival}, {at: every, kind: tick}, {kind: probing}}
	var took []time.Duration
	var cvs, peaks []float64
	report := func(cell int) load.Report {
		past := cells[cell].past
		age := s.reportMin + time.Duration(rng.Float64()*float64(s.reportMax-s.reportMin))
		if i := len(past) - 1 - int(age/every); i >= 0 {
			return past[i]
		}
		return load.Report{Limit: 16 * s.workers}
	}
	start := func(now time.Duration, r *request) {
		cells[r.cell].working++
		heap.Push(todo, event{at: now + time.Duration(s.slow(r.cell, now)*float64(exponential(s.service))), kind: done, r: r})
	}
	for {
		e, _ := heap.Pop(todo).(event)
		now := epoch.Add(e.at)
		if e.at > s.length {
			break
		}
		switch e.kind {
		case arrival:
			heap.Push(todo, event{at: e.at + time.Duration(rng.ExpFloat64()/rate*1e9), kind: arrival})
			r := &request{front: rng.IntN(s.fronts), began: e.at}
			r.cell = fronts[r.front].choose(now)
			fronts[r.front].sent(now, r.cell)
			if cells[r.cell].working < s.workers {
				start(e.at, r)
			} else {
				cells[r.cell].queue = append(cells[r.cell].queue, r)
			}
		case done:
			c := &cells[e.r.cell]
			c.working--
			d := e.at - e.r.began
			c.latency += 0.2 * (d.Seconds() - c.latency)
			if e.r.began > s.length/3 {
				took = append(took, d)
			}
			if len(c.queue) > 0 {
				next := c.queue[0]
				c.queue = c.queue[1:]
				start(e.at, next)
			}
			fronts[e.r.front].back(now, e.r.cell, d, report(e.r.cell))
		case tick:
			heap.Push(todo, event{at: e.at + every, kind: tick})
			for i := range cells {
				c := &cells[i]
				c.past = append(c.past, load.Report{
					InFlight: c.working + len(c.queue), Limit: 16 * s.workers,
					Latency: time.Duration(c.latency * 1e9),
				})
			}
			if e.at > s.length/3 {
				cv, peak := spread(cells)
				cvs, peaks = append(cvs, cv), append(peaks, peak)
			}
		case probing:
			heap.Push(todo, event{at: e.at + 50*time.Millisecond, kind: probing})
			for _, f := range fronts {
				if cell, ok := f.probe(now); ok {
					f.told(now, cell, report(cell))
				}
			}
		}
	}
	// What is still waiting counts as having waited until now.
	for _, c := range cells {
		for _, r := range c.queue {
			if r.began > s.length/3 {
				took = append(took, s.length-r.began)
			}
		}
	}
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))] }
	return outcome{at(0.5), at(0.99), at(0.999), mean(cvs), mean(peaks), len(took)}
}

func spread(cells []simulated) (cv, peak float64) {
	var sum, squares, most float64
	for _, c := range cells {
		n := float64(c.working + len(c.queue))
		sum, squares, most = sum+n, squares+n*n, max(most, n)
	}
	m := sum / float64(len(cells))
	return math.Sqrt(squares/float64(len(cells))-m*m) / m, most / m
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func allMembers(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{ID: fmt.Sprint(i), Health: fleet.Passing, Born: epoch.Add(-time.Hour)}
	}
	return members
}

// ours is the front's own chooser.
type ours struct {
	*Chooser
	rng *rand.Rand
	ids map[string]int
}

func newOurs(rule policy.Front) func(*rand.Rand, []Member) balancer {
	return func(rng *rand.Rand, members []Member) balancer {
		o := ours{NewChooser(rule), rng, map[string]int{}}
		for i, m := range members {
			o.ids[m.ID] = i
		}
		o.SetMembers(epoch, members)
		return o
	}
}

func (o ours) choose(now time.Time) int {
	id, _ := o.Choose(now, o.rng)
	return o.ids[id]
}
func (o ours) sent(now time.Time, cell int) { o.Began(now, fmt.Sprint(cell)) }
func (o ours) back(now time.Time, cell int, took time.Duration, r load.Report) {
	id := fmt.Sprint(cell)
	o.Ended(now, id)
	o.Answered(now, id, took)
	o.Learn(now, id, r)
}
func (o ours) probe(now time.Time) (int, bool) {
	id := o.NextProbe(now, o.rng)
	return o.ids[id], id != ""
}
func (o ours) told(now time.Time, cell int, r load.Report) { o.Learn(now, fmt.Sprint(cell), r) }

// plain are the ways of others: at random, in turn, by own counts, by reports.
type plain struct {
	rng      *rand.Rand
	own      []int
	reported []int
	next     int
	how      string
}

func newPlain(how string) func(*rand.Rand, []Member) balancer {
	return func(rng *rand.Rand, members []Member) balancer {
		return &plain{rng: rng, own: make([]int, len(members)), reported: make([]int, len(members)), how: how, next: rng.IntN(len(members))}
	}
}

func (p *plain) choose(time.Time) int {
	p.next = (p.next + 1) % len(p.own)
	switch p.how {
	case "random":
		return p.rng.IntN(len(p.own))
	case "round robin":
		return p.next
	}
	by := p.own
	if p.how == "least reported" {
		by = p.reported
	}
	best := p.next
	for i := range by {
		if at := (p.next + i) % len(by); by[at] < by[best] {
			best = at
		}
	}
	return best
}
func (p *plain) sent(_ time.Time, cell int) { p.own[cell]++ }
func (p *plain) back(_ time.Time, cell int, _ time.Duration, r load.Report) {
	p.own[cell]--
	p.reported[cell] = r.InFlight
}
func (p *plain) probe(time.Time) (int, bool)               { return p.rng.IntN(len(p.own)), true }
func (p *plain) told(_ time.Time, cell int, r load.Report) { p.reported[cell] = r.InFlight }
