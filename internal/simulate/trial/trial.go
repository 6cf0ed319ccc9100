// Package trial plays one recorded load under several laws or policies, each with
// the same seeds, and sums up how they fared.
package trial

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// Contestant is a law in its world.
type Contestant struct {
	Name  string
	World simulate.World
	Law   simulate.Entry
}

// Fare is how a contestant fared, a result for each seed.
type Fare struct {
	Name    string
	Results []simulate.Result
}

// Seeds are n seeds from first on.
func Seeds(first uint64, n int) []uint64 {
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = first + uint64(i)
	}
	return seeds
}

// Play plays a load of arrivals per second, one value a second, as many runs side
// by side as there are processors. It ends early only where the context does.
func Play(ctx context.Context, load []float64, contestants []Contestant, seeds []uint64) ([]Fare, error) {
	fares := make([]Fare, len(contestants))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range contestants {
		fares[i] = Fare{Name: c.Name, Results: make([]simulate.Result, len(seeds))}
		for j, seed := range seeds {
			g.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				fares[i].Results[j] = simulate.Run(c.World, load, c.Law.New(c.World), seed)
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return fares, nil
}

// Mean is the mean over the seeds; Most is the largest of them.
func (f Fare) Mean() simulate.Result {
	var sum simulate.Result
	for _, r := range f.Results {
		for i, v := range figures(&r) {
			*figures(&sum)[i] += *v / float64(len(f.Results))
		}
		sum.Most = max(sum.Most, r.Most)
	}
	return sum
}

// figures are the numbers of a result that a mean is made of.
func figures(r *simulate.Result) []*float64 {
	return []*float64{
		&r.Slow, &r.P99Wait, &r.Cost, &r.ChangesAHour, &r.Under, &r.Over, &r.UnderTime, &r.OverTime, &r.Unstable, &r.Jitter,
		&r.Requests, &r.Served, &r.Backlog, &r.CellHours,
	}
}

// Spread is the least and the most of a figure over the seeds.
func (f Fare) Spread(figure func(simulate.Result) float64) (least, most float64) {
	for i, r := range f.Results {
		v := figure(r)
		if i == 0 {
			least, most = v, v
		}
		least, most = min(least, v), max(most, v)
	}
	return least, most
}
