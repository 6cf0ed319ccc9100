package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/search"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trial"
)

// searchSettings looks for numbers of the policy that fare better.
func (sim *simulation) searchSettings(ctx context.Context, std stdio) error {
	knobs, err := search.ParseKnobs(sim.search, sim.service)
	if err != nil {
		return misused("-search: %w", err)
	}
	if sim.format != "csv" {
		sim.printSetting(std.Out)
	}
	var levels, start []int
	for _, k := range knobs {
		levels, start = append(levels, len(k.Levels)), append(start, k.Start)
	}
	tried := 0
	allowed := func(at []int) bool {
		_, err := search.Apply(sim.service, knobs, at)
		return err == nil
	}
	found, err := search.Run(levels, start, sim.tries, allowed, func(choices [][]int) ([]search.Point, error) {
		sim.progress(std.Err, tried)
		tried += len(choices)
		return sim.try(ctx, knobs, choices, trial.Seeds(1, sim.seeds))
	})
	sim.progress(std.Err, -1)
	if err != nil {
		return err
	}
	return sim.printFrontier(ctx, std, knobs, found)
}

// progress says on a terminal how far a search is, as one may take minutes. A
// number below zero takes that back, so that what is printed next has the line.
func (sim *simulation) progress(w io.Writer, tried int) {
	f, ok := w.(*os.File)
	if !ok {
		return
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return // nobody is told where there is no terminal
	}
	text := "\r\x1b[K"
	if tried >= 0 {
		text += fmt.Sprintf("%d of at most %d choices tried", tried, sim.tries)
	}
	_, _ = fmt.Fprint(f, text)
}

// try plays choices of levels.
func (sim *simulation) try(ctx context.Context, knobs []search.Knob, choices [][]int, seeds []uint64) ([]search.Point, error) {
	fares, err := sim.tryAll(ctx, knobs, choices, seeds)
	return pointsOf(choices, fares), err
}

func pointsOf(choices [][]int, fares []trial.Fare) []search.Point {
	points := make([]search.Point, len(fares))
	for i, f := range fares {
		mean := f.Mean()
		points[i] = search.Point{At: choices[i], Slow: mean.Slow, Cost: mean.Cost}
	}
	return points
}

func (sim *simulation) tryAll(ctx context.Context, knobs []search.Knob, choices [][]int, seeds []uint64) ([]trial.Fare, error) {
	contestants := make([]trial.Contestant, len(choices))
	for i, at := range choices {
		var err error
		if contestants[i], err = sim.tried(knobs, at); err != nil {
			return nil, err
		}
	}
	return trial.Play(ctx, sim.load, contestants, seeds)
}

// printFrontier plays what was found again with other noise, so that nothing is
// praised for its luck, and prints what then still is the frontier beside the policy
// as it is.
func (sim *simulation) printFrontier(ctx context.Context, std stdio, knobs []search.Knob, found search.Outcome) error {
	choices := [][]int{found.Start.At}
	for _, p := range found.Frontier {
		if !slices.Equal(p.At, found.Start.At) {
			choices = append(choices, p.At)
		}
	}
	fares, err := sim.tryAll(ctx, knobs, choices, trial.Seeds(1001, sim.seeds))
	if err != nil {
		return err
	}
	points := pointsOf(choices, fares)
	own := points[0]
	t := &table.Table{Head: []string{"", "slow %", "cost", "changes/h", "most", "numbers"}}
	var better [][]int
	for _, p := range search.Standing(points) {
		mark := ""
		switch {
		case slices.Equal(p.At, own.At):
			mark = "now"
		case p.Better(own):
			mark = "better"
			better = append(better, p.At)
		}
		f := fares[slices.IndexFunc(choices, func(at []int) bool { return slices.Equal(at, p.At) })]
		r := f.Mean()
		t.Add(mark, r.Slow, r.Cost, r.ChangesAHour, fmt.Sprint(r.Most), f.Name)
	}
	if err := t.Write(std.Out, sim.format); err != nil {
		return err
	}
	if sim.format != "csv" {
		sim.printAdvice(std, knobs, found, better)
	}
	return nil
}

// printAdvice says how far the search went, and what to write in the policy for
// the choices that are better than it is.
func (sim *simulation) printAdvice(std stdio, knobs []search.Knob, found search.Outcome, better [][]int) {
	how := "no neighbour of these is left to try"
	if !found.Complete {
		how = fmt.Sprintf("there is more to try: -tries %d", 4*sim.tries)
	}
	say(std.Out, "%s tried; %s. The figures are of other noise than they were found\nwith; but for the policy as it is, none here is better than another in both.",
		plural(len(found.Tried), "choice"), how)
	if len(better) == 0 {
		say(std.Out, "None is less slow at no more cost than the policy as it is: what is left is to choose between slow and cost.")
		return
	}
	say(std.Out, "Better than the policy as it is; for the service's block:")
	for i, at := range better {
		if i > 0 {
			say(std.Out, "or")
		}
		for _, line := range lines(knobs, at) {
			say(std.Out, "  %s", line)
		}
	}
	say(std.Out, "They were found on this load: try them on another one with -trace or -from and -to, and -set, before you trust them.")
}

// lines are what is to be written for a choice.
func lines(knobs []search.Knob, at []int) []string {
	var all []string
	for i, k := range knobs {
		if at[i] != k.Start {
			all = append(all, k.Line(k.Levels[at[i]]))
		}
	}
	return all
}
