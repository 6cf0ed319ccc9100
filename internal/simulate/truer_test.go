package simulate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
)

func TestPoisson(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, rate := range []float64{0, 0.3, 7, 49, 51, 3000} {
		const n = 20_000
		sum, squares := 0.0, 0.0
		for range n {
			v := poisson(rng, rate)
			sum += v
			squares += v * v
		}
		mean := sum / n
		variance := squares/n - mean*mean
		if math.Abs(mean-rate) > 5*math.Sqrt(rate/n) || math.Abs(variance-rate) > 0.08*rate {
			t.Errorf("rate %g: mean %g, variance %g", rate, mean, variance)
		}
	}
}

// Erlang's second formula, by hand: with one server it is the busy share; two
// busy on three servers wait with 4/9.
func TestErlangC(t *testing.T) {
	if got := erlangC(0.7, 1); !near(got, 0.7) {
		t.Errorf("one server: %g, want 0.7", got)
	}
	if got := erlangC(2, 3); !near(got, 4.0/9) {
		t.Errorf("two on three: %g, want 4/9", got)
	}
	if got := waitsLonger(400, 4, 100, 5); got != 1 {
		t.Errorf("without room all wait: %g", got)
	}
}

// The formula against request after request: four cells of 100 a second each,
// 380 a second, how many wait longer than 50 ms.
func TestQueueRequestByRequest(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const requests, rate, perCell, longer = 1_000_000, 380.0, 100.0, 0.05
	free := [4]float64{} // when each cell is free
	now, waited := 0.0, 0
	var played, formula waits
	for range requests {
		now += rng.ExpFloat64() / rate
		first := 0
		for i := range free {
			if free[i] < free[first] {
				first = i
			}
		}
		begin := max(now, free[first])
		if begin-now > longer {
			waited++
		}
		played.add(begin-now, 1)
		free[first] = begin + rng.ExpFloat64()/perCell
	}
	got, want := float64(waited)/requests, waitsLonger(rate, len(free), perCell, longer)
	if math.Abs(got-want) > 0.1*want {
		t.Errorf("request by request %.4f wait longer, the formula says %.4f", got, want)
	}
	formula.exponential(requests, erlangC(rate/perCell, len(free)), float64(len(free))*perCell-rate)
	for _, q := range []float64{0.5, 0.9, 0.99} {
		if got, want := played.quantile(q), formula.quantile(q); math.Abs(got-want) > 0.1*want {
			t.Errorf("request by request %g of them wait up to %.3f s, the formula says %.3f s", q, got, want)
		}
	}
}

// Two busy on three cells: 4/9 wait, so one in a hundred waits for longer than
// ln(100*4/9) by the room of 100 a second.
func TestQueueShowsInP99(t *testing.T) {
	w := quiet()
	w.Start, w.Truer = 3, Truer{Queueing: true}
	r := Run(w, constant(200, 3600), static(3), 1)
	if want := math.Log(400.0/9) / 100; r.P99Wait < want || r.P99Wait > want*17/16 {
		t.Errorf("p99 wait %g s, want %g and at most a sixteenth more", r.P99Wait, want)
	}
	w.Truer.Queueing = false
	if r := Run(w, constant(200, 3600), static(3), 1); r.P99Wait != 0 {
		t.Errorf("in the plain picture %g s, want 0", r.P99Wait)
	}
}

// Ten cells are ordered, each of which fails half the time: all come in the end,
// those that failed later.
func TestFailedBirths(t *testing.T) {
	w := quiet()
	w.Start, w.Curves = 1, true
	w.Truer = Truer{FailShare: 0.5, FailWait: 30 * time.Second}
	r := Run(w, constant(50, 3600), &script{every: 5 * time.Second, orders: map[int]int{10: 11}}, 1)
	at := func(second int) float64 { return r.Curves.Ready[second/5-1] }
	if first := at(75); first <= 1 || first >= 11 {
		t.Errorf("%g cells after a birth, want some of 11", first)
	}
	if at(75) != at(155) || at(165) <= at(75) {
		t.Errorf("%g, %g, %g cells at 75, 155, 165 s: want the next after 30 s and a birth", at(75), at(155), at(165))
	}
	if at(3600) != 11 {
		t.Errorf("%g cells at the end, want 11", at(3600))
	}
}

// While consumers pause nothing is served, and the law is told.
func TestPauses(t *testing.T) {
	w := quiet()
	w.Start, w.Birth = 2, 5*time.Second
	w.Truer = Truer{Pause: 10 * time.Second}
	law := &script{every: time.Second, orders: map[int]int{10: 3}}
	Run(w, constant(100, 60), law, 1)
	for _, s := range law.seen {
		if paused := s.Second > 15 && s.Second <= 25; paused != (s.Served == 0) {
			t.Errorf("at %d s %g are served", s.Second, s.Served)
		}
		if s.Second > 15 && s.Second < 25 && !s.Rebalancing {
			t.Errorf("at %d s the law is not told", s.Second)
		}
	}
}

// square is a load that is one and the other in turn, each for half a period, in seconds.
func square(lasts, half int, one, other float64) []float64 {
	load := make([]float64, lasts)
	for s := range load {
		load[s] = other
		if s/half%2 == 0 {
			load[s] = one
		}
	}
	return load
}

// Ours weighs the pauses that it was shown. If it didn't, what waits after each would
// be answered by an order, which brings the next.
func TestPausesAreWeighed(t *testing.T) {
	load := square(12*3600, 3600, 1000, 2400)
	w := DefaultWorld()
	w.Birth, w.Max, w.Truer.Pause = 20*time.Second, 60, 10*time.Second
	heedless := OurPolicy()
	heedless.Law.ReleasePauses = 1e-9
	without, got := Run(w, load, NewOurs(w, heedless), 1), Run(w, load, NewOurs(w, OurPolicy()), 1)
	if got.ChangesAHour > 6 || got.ChangesAHour > without.ChangesAHour/4 || got.Slow > without.Slow/4 {
		t.Errorf("%.3g changes an hour and %.3g %% slow, %.3g and %.3g where pauses aren't weighed: want a quarter at most",
			got.ChangesAHour, got.Slow, without.ChangesAHour, without.Slow)
	}
}

// The rate swings, and ours follows what it measures.
func TestDrift(t *testing.T) {
	w := quiet()
	w.Truer = Truer{Drift: 0.5, DriftPeriod: 4 * time.Hour}
	if got := w.rateAt(3600); !near(got, 150) {
		t.Errorf("after a quarter of the period a cell does %g, want 150", got)
	}
	w.Max, w.Curves = 40, true
	law := NewOurs(w, OurPolicy())
	Run(w, constant(1000, 3*3600), law, 1)
	d, ok := Explain(law)
	if !ok {
		t.Fatal("ours does not explain itself")
	}
	believed := 0.0
	for _, term := range d.Terms {
		if term.Name == "rate of a cell" {
			believed = term.Value
		}
	}
	if math.Abs(believed-50) > 5 {
		t.Errorf("at the lowest it believes in %g a second, want about 50", believed)
	}
}

// With a budget of changes ours changes less often where it would too often: under a
// policy that releases at once what the last minute didn't need, at a load that
// jumps every five minutes. Rises pass, so one may follow the last release.
func TestFlapBudget(t *testing.T) {
	load := square(4*3600, 300, 2400, 800)
	w := DefaultWorld()
	w.Birth, w.Max = 20*time.Second, 60
	policy := OurPolicy()
	policy.Law = balance.Law{LookBacks: []time.Duration{time.Minute}, ReleaseIdle: time.Second, ReleaseBirths: 0.01}
	free := Run(w, load, NewOurs(w, policy), 1)
	const budget = 4
	w.Truer.FlapBudget = budget
	bound := Run(w, load, NewOurs(w, policy), 1)
	if free.ChangesAHour < 3*budget {
		t.Errorf("%g changes an hour without a budget: too few to show anything", free.ChangesAHour)
	}
	if bound.ChangesAHour > budget+2 {
		t.Errorf("%g changes an hour with a budget of %d, %g without", bound.ChangesAHour, budget, free.ChangesAHour)
	}
}
