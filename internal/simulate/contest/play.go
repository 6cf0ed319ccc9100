package contest

import (
	"context"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// Game is what to play: every candidate on every row with every seed.
type Game struct {
	Rows       []Row
	Candidates []Candidate
	Seeds      int
	// World makes a row's picture; Row.World unless set.
	World func(Row) simulate.World
}

// Outcome is what came of a game: results by candidate, row and seed.
type Outcome struct {
	Game
	Results [][][]simulate.Result
}

// Play plays a game, as many runs side by side as there are processors. It ends
// early only where the context does.
func (t *Traces) Play(ctx context.Context, g Game) (*Outcome, error) {
	if g.World == nil {
		g.World = Row.World
	}
	o := newOutcome(g)
	loads := t.loads(g.Rows)
	workers, ctx := errgroup.WithContext(ctx)
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for r, row := range g.Rows {
		load, w := loads[loadKey{row.Trace, row.Cells}], g.World(row)
		for c, candidate := range g.Candidates {
			for seed := range g.Seeds {
				workers.Go(func() error {
					if err := ctx.Err(); err != nil {
						return err
					}
					law := candidate.Law(row).New(w)
					o.Results[c][r][seed] = simulate.Run(w, load, law, uint64(seed+1))
					return nil
				})
			}
		}
	}
	if err := workers.Wait(); err != nil {
		return nil, err
	}
	return o, nil
}

// only is the outcome of some candidates.
func (o *Outcome) only(keep func(Candidate) bool) *Outcome {
	some := &Outcome{Game: o.Game}
	some.Candidates = nil
	for c, candidate := range o.Candidates {
		if keep(candidate) {
			some.Candidates = append(some.Candidates, candidate)
			some.Results = append(some.Results, o.Results[c])
		}
	}
	return some
}

// Whole is the outcome without the plain copies.
func (o *Outcome) Whole() *Outcome {
	return o.only(func(c Candidate) bool { return !strings.HasPrefix(c.Name, plainly) })
}

// Plain is the outcome in which plain copies stand in for the whole ones.
func (o *Outcome) Plain() *Outcome {
	return o.only(func(c Candidate) bool { return o.candidate(plainly+c.Name) < 0 })
}

func newOutcome(g Game) *Outcome {
	o := &Outcome{Game: g, Results: make([][][]simulate.Result, len(g.Candidates))}
	for c := range o.Results {
		o.Results[c] = make([][]simulate.Result, len(g.Rows))
		for r := range o.Results[c] {
			o.Results[c][r] = make([]simulate.Result, g.Seeds)
		}
	}
	return o
}
