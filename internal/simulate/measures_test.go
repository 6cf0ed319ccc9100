package simulate

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Supply of four samples where two cells are needed, and what the definitions make
// of it. What is ordered at 5 s lands after 10 s, and shows in the sample after:
//
//	s   2  2  4  3
//	d   2  2  2  2
//	ds     0  2 -1     dd 0
func TestElasticityByHand(t *testing.T) {
	w := quiet()
	w.Start, w.Curves, w.Birth = 2, true, 5*time.Second
	r := Run(w, constant(150, 20), &script{every: 5 * time.Second, orders: map[int]int{5: 4, 10: 3}}, 1)
	if want := []float64{2, 2, 4, 3}; !slices.Equal(r.Curves.Ready, want) || slices.Max(r.Curves.Demand) != 2 {
		t.Fatalf("supply %v of %v, want %v of 2", r.Curves.Ready, r.Curves.Demand, want)
	}
	if !near(r.Over, 100*(1+0.5)/4) || r.Under != 0 || r.OverTime != 50 || r.UnderTime != 0 {
		t.Errorf("theta_O %g %%, theta_U %g, tau_O %g, tau_U %g", r.Over, r.Under, r.OverTime, r.UnderTime)
	}
	if !near(r.Unstable, 100*2.0/3) || !near(r.Jitter, 3*60.0/20) {
		t.Errorf("upsilon %g %%, jitter %g", r.Unstable, r.Jitter)
	}
	if seconds := 2*10.0 + 4*5 + 3*5; !near(r.Cost, seconds/40) {
		t.Errorf("cost %g, want %g", r.Cost, seconds/40)
	}
}

// Supply that is short: three cells are needed, one serves.
func TestUnderByHand(t *testing.T) {
	w := quiet()
	w.Start = 1
	r := Run(w, constant(250, 100), static(1), 1)
	if !near(r.Under, 100*2.0/3) || r.UnderTime != 100 || r.Over != 0 || !near(r.Cost, 1.0/3) {
		t.Errorf("%+v", r)
	}
}

// Demand follows the load with a time constant of a minute: after a step from one
// cell's load to ten cells' it is 1-1/e of the way up after a minute.
func TestDemandIsSmoothed(t *testing.T) {
	w := quiet()
	w.Curves = true
	r := Run(w, append(constant(90, 60), constant(900, 60)...), static(10), 1)
	demand := r.Curves.Demand[len(r.Curves.Demand)-1]
	if want := math.Ceil(1 + 9*(1-math.Pow(1-1.0/60, 60))); demand != want {
		t.Errorf("demand %g after a minute, want %g", demand, want)
	}
	if r.Curves.Demand[11] != 1 {
		t.Errorf("demand %g before the step, want 1", r.Curves.Demand[11])
	}
}

// A quantile of the waits is right to a sixteenth.
func TestWaitsQuantile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w waits
		wait := rapid.Float64Range(1.0/64, 100_000).Draw(t, "wait")
		w.add(0, 98)
		w.add(wait, 2)
		if q := w.quantile(0.99); q < wait || q > wait*(1+1.0/16)+1e-9 {
			t.Errorf("p99 is %g, want %g", q, wait)
		}
		if q := w.quantile(0.98); q != 0 {
			t.Errorf("p98 is %g, want 0", q)
		}
	})
	var w waits
	w.add(math.Inf(1), 1)
	if q := w.quantile(0.99); !math.IsInf(q, 1) {
		t.Errorf("p99 of endless waits is %g", q)
	}
}

func TestSecondsAndScaled(t *testing.T) {
	tr := Trace{Name: "t", Step: 2 * time.Second, Rates: []float64{0, 4, 2}}
	got := tr.Scaled(8).Seconds()
	want := []float64{0, 4, 8, 6}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if !near(got[i], want[i]) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	if one := (Trace{Step: time.Second, Rates: []float64{5}}).Seconds(); len(one) != 1 || one[0] != 5 {
		t.Errorf("of one value: %v", one)
	}
}
