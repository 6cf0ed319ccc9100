package trial

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

func load() []float64 {
	load := make([]float64, 3600)
	for i := range load {
		load[i] = 500 + 400*math.Sin(float64(i)/300)
	}
	return load
}

func contestants() []Contestant {
	w := simulate.DefaultWorld()
	w.Max = 20
	return []Contestant{
		{Name: "five", World: w, Law: simulate.Static("5", 5)},
		{Name: "twelve", World: w, Law: simulate.Static("12", 12)},
		{Name: "ours", World: w, Law: simulate.Ours("ours", simulate.OurPolicy())},
	}
}

func TestPlay(t *testing.T) {
	t.Parallel()
	fares, err := Play(t.Context(), load(), contestants(), Seeds(1, 3))
	if err != nil {
		t.Fatal(err)
	}
	five, twelve, ours := fares[0].Mean(), fares[1].Mean(), fares[2].Mean()
	if !(five.Slow > 50 && twelve.Slow == 0 && five.Cost < ours.Cost && twelve.Cost > five.Cost) {
		t.Errorf("five %+v, twelve %+v, ours %+v", five, twelve, ours)
	}
	if twelve.Most != 12 || math.Abs(twelve.CellHours-12) > 1 {
		t.Errorf("12 cells for an hour are %d at most and %g cell-hours", twelve.Most, twelve.CellHours)
	}
	// Side by side or alone, a seed is a seed.
	w := contestants()[2]
	alone := simulate.Run(w.World, load(), w.Law.New(w.World), 2)
	if got := fares[2].Results[1]; got != alone {
		t.Errorf("among others %+v, alone %+v", got, alone)
	}
	least, most := fares[2].Spread(func(r simulate.Result) float64 { return r.Cost })
	if !(least < most && least <= ours.Cost && ours.Cost <= most) {
		t.Errorf("a mean of %g between %g and %g", ours.Cost, least, most)
	}
}

func TestPlayIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Play(ctx, load(), contestants(), Seeds(1, 3)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
