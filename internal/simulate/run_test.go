package simulate

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// quiet is a world without chance: cells do what they do, births take what they
// take.
func quiet() World {
	w := DefaultWorld()
	w.CellNoise, w.LoadNoise, w.BirthSigma = 0, 0, 0
	return w
}

// script orders counts at given seconds and keeps them.
type script struct {
	every  time.Duration
	orders map[int]int
	seen   []Seen
}

func (s *script) Every() time.Duration { return s.every }

func (s *script) Decide(seen Seen) int {
	seen.InFlight = slices.Clone(seen.InFlight)
	s.seen = append(s.seen, seen)
	if n, ok := s.orders[seen.Second]; ok {
		return n
	}
	return seen.Ordered
}

// constant is a load of one rate.
func constant(rate float64, seconds int) []float64 {
	return slices.Repeat([]float64{rate}, seconds)
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(1, math.Abs(b)) }

// Two cells do 200 a second. For 20 s 300 come: the backlog grows by 100 a second,
// and after n seconds a newcomer waits n/2 s. From the eleventh second on that is
// over 5 s; then 100 come for 20 s, it shrinks as fast, and the last second with a
// backlog of over 1000 is the ninth.
func TestBacklogByHand(t *testing.T) {
	w := quiet()
	w.Start = 2
	r := Run(w, slices.Concat(constant(300, 20), constant(100, 20)), static(2), 1)
	slow := 10*300.0 + 9*100
	if want := 100 * slow / 8000; !near(r.Slow, want) {
		t.Errorf("slow %g %%, want %g", r.Slow, want)
	}
	if !near(r.Requests, 8000) || !near(r.Served, 8000) || !near(r.Backlog, 0) {
		t.Errorf("%g came, %g were served, %g wait: want 8000, 8000, 0", r.Requests, r.Served, r.Backlog)
	}
	// 1 % of the requests are those of the 20th second, when the wait is 10 s; the
	// bin of 10 s ends at 10.5.
	if r.P99Wait < 9.5 || r.P99Wait > 10.5 {
		t.Errorf("p99 wait %g s, want about 10", r.P99Wait)
	}
	if !near(r.CellHours, 2*40.0/3600) || r.Most != 2 || r.ChangesAHour != 0 {
		t.Errorf("%g cell-hours, most %d, %g changes an hour", r.CellHours, r.Most, r.ChangesAHour)
	}
}

// An order lands after a birth; where orders are serial, not before the last.
func TestOrdersLand(t *testing.T) {
	for _, serial := range []bool{false, true} {
		w := quiet()
		w.Start, w.Birth, w.Serial, w.Curves = 2, 30*time.Second, serial, true
		law := &script{every: 5 * time.Second, orders: map[int]int{10: 5, 20: 3}}
		r := Run(w, constant(100, 120), law, 1)
		ready := func(second int) int { return int(r.Curves.Ready[second/5-1]) }
		want := map[int]int{10: 2, 40: 2, 45: 5, 55: 3, 120: 3}
		if serial { // the second order is refused while the first is in flight
			want = map[int]int{10: 2, 40: 2, 45: 5, 55: 5, 120: 5}
		}
		for second, n := range want {
			if ready(second) != n {
				t.Errorf("serial %v: %d cells at %d s, want %d", serial, ready(second), second, n)
			}
		}
		landings := 2.0
		if serial {
			landings = 1
		}
		if !near(r.ChangesAHour, landings*30) {
			t.Errorf("serial %v: %g changes an hour, want %g", serial, r.ChangesAHour, landings*30)
		}
		at20 := law.seen[4] // at 25 s
		if len(at20.InFlight) == 0 || at20.InFlight[0] != (Flight{Delta: 3, Placed: 10, Expected: 40}) || at20.BirthMedian != 30 {
			t.Errorf("serial %v: at 25 s the law sees %+v", serial, at20)
		}
	}
}

// declared is a script whose newest answer stands.
type declared struct{ *script }

func (declared) declares() {}

// Where orders are serial the answer of a law that declares it is carried out when the
// order before has ended; another law looks again first, and then wants no change.
func TestAnswerStands(t *testing.T) {
	for _, stands := range []bool{false, true} {
		w := quiet()
		w.Start, w.Birth, w.Serial, w.Curves = 2, 30*time.Second, true, true
		asked := &script{every: 20 * time.Second, orders: map[int]int{20: 5, 40: 3}}
		law, want := Law(asked), map[int]int{40: 2, 55: 5, 85: 5}
		if stands {
			law, want = declared{asked}, map[int]int{40: 2, 55: 5, 85: 3}
		}
		r := Run(w, constant(100, 120), law, 1)
		for second, n := range want {
			if ready := int(r.Curves.Ready[second/5-1]); ready != n {
				t.Errorf("answers stand %t: %d ready at %d s, want %d", stands, ready, second, n)
			}
		}
	}
}

// Means are of the time since the last decision, and the hour's landings count.
func TestWhatALawSees(t *testing.T) {
	w := quiet()
	w.Start, w.Birth = 4, 10*time.Second
	law := &script{every: 10 * time.Second, orders: map[int]int{10: 6, 20: 4}}
	Run(w, slices.Concat(constant(100, 10), constant(300, 10), constant(500, 4000)), law, 1)
	if s := law.seen[1]; !near(s.Offered, 300) || !near(s.Served, 300) || !near(s.Busy, 0.75) || s.Ready != 4 || s.Ordered != 6 {
		t.Errorf("at 20 s: %+v", s)
	}
	if s := law.seen[4]; s.Changes != 2 || s.Downs != 1 || s.Ready != 4 || s.Backlog == 0 {
		t.Errorf("at 50 s: %+v", s)
	}
	if s := law.seen[len(law.seen)-1]; s.Changes != 0 || s.Downs != 0 {
		t.Errorf("an hour later: %+v", s)
	}
}

// Half the cells go away for ten seconds.
func TestOutage(t *testing.T) {
	w := quiet()
	w.Start = 5
	w.Outages = []Outage{{From: 10 * time.Second, Until: 20 * time.Second, Share: 0.5}}
	law := &script{every: time.Second}
	r := Run(w, constant(400, 40), law, 1)
	for _, s := range law.seen {
		want := 5
		if s.Second > 10 && s.Second <= 20 {
			want = 3
		}
		if s.Ready != want || s.Ordered != 5 {
			t.Errorf("at %d s %d cells are ready, %d ordered, want %d of 5", s.Second, s.Ready, s.Ordered, want)
		}
	}
	if !near(law.seen[19].Backlog, 1000) || r.Backlog != 0 {
		t.Errorf("backlog %g after it, %g at the end: want 1000 and 0", law.seen[19].Backlog, r.Backlog)
	}
}

// What came was served or waits, whatever the world, and as many cells come as
// were ordered.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0, 0.5)
		w := DefaultWorld()
		w.Birth = time.Duration(rapid.IntRange(1, 300).Draw(t, "birth")) * time.Second
		w.Serial, w.Max = rapid.Bool().Draw(t, "serial"), 30
		w.Truer = Truer{
			Queueing:  rapid.Bool().Draw(t, "queueing"),
			Pause:     time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Second,
			FailShare: share.Draw(t, "fail"), FailWait: 30 * time.Second,
			LateShare: share.Draw(t, "late"), LateFactor: 3,
			Drift: share.Draw(t, "drift"), DriftPeriod: 20 * time.Minute,
		}
		orders := map[int]int{}
		for range rapid.IntRange(0, 10).Draw(t, "orders") {
			orders[10*rapid.IntRange(1, 100).Draw(t, "when")] = rapid.IntRange(0, 50).Draw(t, "count")
		}
		law := &script{every: 10 * time.Second, orders: orders}
		var load []float64
		for range 5 {
			load = append(load, constant(rapid.Float64Range(0, 3000).Draw(t, "rate"), 200)...)
		}
		load = append(load, constant(10, 20_000)...) // time for all to land
		r := Run(w, load, law, rapid.Uint64().Draw(t, "seed"))
		if w.Truer.Queueing {
			// Work is in requests of mean length: it differs from what came by chance.
			if off := r.Requests - r.Served - r.Backlog; math.Abs(off) > 10*math.Sqrt(max(1, r.Requests)) {
				t.Errorf("%g came, %g were served, %g wait", r.Requests, r.Served, r.Backlog)
			}
		} else if !near(r.Requests, r.Served+r.Backlog) {
			t.Errorf("%g came, %g were served, %g wait", r.Requests, r.Served, r.Backlog)
		}
		last := law.seen[len(law.seen)-1]
		if last.Ready != last.Ordered || len(last.InFlight) > 0 || last.Ordered > 30 || last.Ordered < 1 {
			t.Errorf("at the end %+v", last)
		}
		if r.Slow < 0 || r.Slow > 100 || r.UnderTime+r.OverTime > 100.001 || !(r.P99Wait >= 0) {
			t.Errorf("impossible measures: %+v", r)
		}
	})
}

// The same seed is the same run, and every law meets the same load.
func TestSeeds(t *testing.T) {
	w := DefaultWorld()
	w.Max = 20
	load := constant(500, 3600)
	a, b := Run(w, load, NewOurs(w, OurPolicy()), 1), Run(w, load, NewOurs(w, OurPolicy()), 1)
	if a != b {
		t.Errorf("two runs with one seed differ: %+v, %+v", a, b)
	}
	if other := Run(w, load, HPA(0.7).New(w), 1); other.Requests != a.Requests {
		t.Errorf("another law met another load: %g and %g requests", other.Requests, a.Requests)
	}
	if other := Run(w, load, NewOurs(w, OurPolicy()), 2); other.Requests == a.Requests {
		t.Error("another seed gave the same load")
	}
	w.Stream = 7
	if other := Run(w, load, NewOurs(w, OurPolicy()), 1); other.Requests == a.Requests {
		t.Error("another stream gave the same load")
	}
}
