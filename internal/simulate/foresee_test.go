package simulate_test

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// foreseen plays hours of load, in tenths of an hour, under ours as its leader plans
// ahead.
func foreseen(how simulate.PlanningAhead, rates ...float64) simulate.Foresights {
	w := simulate.DefaultWorld()
	w.Serial, w.Max, w.LoadNoise = true, 100, 0.01
	law := simulate.NewForeseeing(w, simulate.OurPolicy(), how)
	simulate.Run(w, simulate.Trace{Step: 6 * time.Minute, Rates: rates}.Seconds(), law, 1)
	return law.Fared
}

// rising is a load that rises by so much in each tenth of an hour.
func rising(n int, by float64) []float64 {
	rates := make([]float64, n)
	for i := range rates {
		rates[i] = 200 + by*float64(i)
	}
	return rates
}

// Most orders of a load that rises slowly are planned ahead.
func TestSlowRiseIsForeseen(t *testing.T) {
	f := foreseen(ahead(), rising(80, 20)...)
	t.Logf("%+v", f)
	if could := f.Orders - f.AtOnce; could < 10 || f.Fresh < could*3/4 {
		t.Errorf("%d of %d orders that could be planned ahead were", f.Fresh, could)
	}
	if f.Plans < f.Fresh+f.Caught+f.Old+f.Other {
		t.Errorf("more came of plans than were made: %+v", f)
	}
}

// What can't be foreseen isn't, and costs little: a step, and a load that stays.
func TestStepIsNotForeseen(t *testing.T) {
	calm := rising(40, 0)
	f := foreseen(ahead(), calm...)
	if f.Fresh+f.Caught > f.Orders || f.Plans > 4*60/5+10 {
		t.Errorf("a load that stays for four hours: %+v", f)
	}
	short := ahead()
	short.MaxAge, short.Takes = time.Minute, 2*time.Minute
	if f := foreseen(short, rising(80, 20)...); f.Fresh > 0 {
		t.Errorf("plans that take longer than they last were fresh: %+v", f)
	}
}
