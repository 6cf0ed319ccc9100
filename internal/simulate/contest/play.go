package contest

import (
	"context"
	"runtime"
	"sync"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// Game is what to play: every candidate on every row with every seed.
type Game struct {
	Rows       []Row
	Candidates []Candidate
	Seeds      int
	// World makes a row's picture; Row.World unless set.
	World func(Row) simulate.World
	// Played is called after each run, from several goroutines; may be nil.
	Played func()
}

// Outcome is what came of a game: results by candidate, row and seed.
type Outcome struct {
	Game
	Results [][][]simulate.Result
}

// job is one run.
type job struct{ row, candidate, seed int }

// Play plays a game on all processors. It ends early with the context's error.
func (t *Traces) Play(ctx context.Context, g Game) (*Outcome, error) {
	if g.World == nil {
		g.World = Row.World
	}
	o := &Outcome{Game: g, Results: make([][][]simulate.Result, len(g.Candidates))}
	for c := range o.Results {
		o.Results[c] = make([][]simulate.Result, len(g.Rows))
		for r := range o.Results[c] {
			o.Results[c][r] = make([]simulate.Result, g.Seeds)
		}
	}
	loads := t.loads(g.Rows)
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for j := range jobs {
				row := g.Rows[j.row]
				w := g.World(row)
				load := loads[loadKey{row.Trace, row.Cells}]
				law := g.Candidates[j.candidate].Law(row).New(w)
				o.Results[j.candidate][j.row][j.seed] = simulate.Run(w, load, law, uint64(j.seed+1))
				if g.Played != nil {
					g.Played()
				}
			}
		})
	}
	deal := func() error {
		defer close(jobs)
		return o.deal(ctx, jobs)
	}
	err := deal()
	workers.Wait()
	if err != nil {
		return nil, err
	}
	return o, nil
}

// deal hands out the jobs, those of a row together.
func (o *Outcome) deal(ctx context.Context, jobs chan<- job) error {
	for row := range o.Rows {
		for candidate := range o.Candidates {
			for seed := range o.Seeds {
				select {
				case jobs <- job{row, candidate, seed}:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	}
	return nil
}
