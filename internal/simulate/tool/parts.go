package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/contest"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
)

// parts are what can be run, by name.
var parts = []struct {
	name string
	run  func(context.Context, *options) error
}{
	{"rows", rows},
	{"truer", truer},
	{"sensitivity", sensitivity},
	{"shapes", shapes},
	{"heldout", heldout},
	{"reproduced", reproduced},
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// part is how a part is run; nil where there is none of the name.
func part(name string) func(context.Context, *options) error {
	for _, p := range parts {
		if p.name == name {
			return p.run
		}
	}
	return nil
}

// rows plays ours and every peer on the rows on which choices are made.
func rows(ctx context.Context, o *options) error {
	return o.contest(ctx, "rows", contest.Sources, contest.PlainPeers())
}

// heldout plays them on stretches on which no choice was made.
func heldout(ctx context.Context, o *options) error {
	return o.contest(ctx, "heldout", contest.HeldOut, nil)
}

// reproduced plays peers beside published figures, with as many seeds as those have. It
// fails where one isn't what it was.
func reproduced(ctx context.Context, o *options) error {
	traces := o.read(contest.Sources)
	game := traces.Checked()
	game.Rows = o.wanted(game.Rows)
	out, err := o.play(ctx, &traces, game)
	if err != nil {
		return err
	}
	t, moved := out.Reproduced()
	if err := o.save("reproduced", t); err != nil {
		return err
	}
	if err := o.print(t); err != nil {
		return err
	}
	if moved > 0 {
		return fmt.Errorf("%d means are not what they were", moved)
	}
	return nil
}

// sensitivity halves and doubles each constant of ours. It fails where that is a cliff.
func sensitivity(ctx context.Context, o *options) error {
	traces := o.read(contest.Sources)
	out, err := o.play(ctx, &traces, contest.Game{
		Rows:       contest.SensitivityRows(o.wanted(contest.Rows(traces.Sources))),
		Candidates: contest.Turned(simulate.OurPolicy()),
	})
	if err != nil {
		return err
	}
	t, cliffs := out.Sensitivity()
	if err := o.save("sensitivity", t); err != nil {
		return err
	}
	if err := o.print(t); err != nil {
		return err
	}
	if cliffs > 0 {
		return fmt.Errorf("a factor of two in a constant is a cliff, %d times", cliffs)
	}
	return nil
}

// contest plays everybody on some stretches, and says which rows would be lost to the
// plain copies, if any are given.
func (o *options) contest(ctx context.Context, name string, sources []contest.Source, plain []contest.Candidate) error {
	traces := o.read(sources)
	candidates := []contest.Candidate{contest.Ours("ours", simulate.OurPolicy())}
	if !o.ours {
		candidates = slices.Concat(candidates, contest.Peers(), plain)
	}
	out, err := o.play(ctx, &traces, contest.Game{Candidates: o.among(candidates)})
	if err != nil {
		return err
	}
	whole := out.Whole()
	tables := []table.Table{whole.Means(traces.Sources), whole.Orderings()}
	for _, g := range []contest.Group{contest.Week, contest.Hours} {
		if slices.ContainsFunc(out.Rows, g.In) {
			tables = append(tables, whole.Measures(g))
		}
	}
	if ours := out.Candidates[0]; !ours.Peer {
		tables = append(tables, whole.Busiest(0, 8))
		if len(whole.Candidates) > 1 {
			tables = append(tables, whole.Losses(0))
		}
		if len(out.Candidates) > len(whole.Candidates) {
			losses := out.Plain().Losses(0)
			losses.Title = "With the plain copies: " + losses.Title
			tables = append(tables, losses)
		}
	}
	if err := o.save(name, out.Detail()); err != nil {
		return err
	}
	return o.print(tables...)
}

// among are the candidates that were asked for.
func (o *options) among(candidates []contest.Candidate) []contest.Candidate {
	if o.laws == "" {
		return candidates
	}
	names := strings.Split(o.laws, ",")
	return slices.DeleteFunc(candidates, func(c contest.Candidate) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(c.Name, name) })
	})
}

// read reads the traces that were asked for, and says which are missing.
func (o *options) read(sources []contest.Source) contest.Traces {
	if o.only != "" {
		names := strings.Split(o.only, ",")
		sources = slices.DeleteFunc(slices.Clone(sources), func(s contest.Source) bool { return !slices.Contains(names, s.Name) })
	}
	traces := contest.ReadAll(o.traces, sources)
	for _, m := range traces.Missing {
		fmt.Fprintln(o.stdout, m)
	}
	return traces
}

// play plays a game, on the rows of the traces and with the seeds asked for if it has
// none of its own.
func (o *options) play(ctx context.Context, traces *contest.Traces, g contest.Game) (*contest.Outcome, error) {
	if g.Rows == nil {
		g.Rows = o.wanted(contest.Rows(traces.Sources))
	}
	if g.Seeds == 0 {
		g.Seeds = o.seeds
	}
	began := time.Now()
	out, err := traces.Play(ctx, g)
	if err == nil {
		fmt.Fprintf(os.Stderr, "%d runs in %.0f s\n", len(g.Rows)*len(g.Candidates)*g.Seeds, time.Since(began).Seconds())
	}
	return out, err
}

// wanted are the rows with the births that were asked for.
func (o *options) wanted(rows []contest.Row) []contest.Row {
	return slices.DeleteFunc(rows, func(r contest.Row) bool { return !o.born(r.Birth) })
}

// born says that a birth is one of those that were asked for.
func (o *options) born(birth time.Duration) bool {
	if o.births == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(o.births, ","), func(b string) bool {
		d, err := time.ParseDuration(b)
		return err == nil && d == birth
	})
}

// print writes tables in the format asked for.
func (o *options) print(tables ...table.Table) error {
	for _, t := range tables {
		if err := t.Write(o.stdout, o.format); err != nil {
			return err
		}
	}
	return nil
}

// save writes a table as CSV into the folder for output, if there is one.
func (o *options) save(name string, t table.Table) error {
	if o.out == "" {
		return nil
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("make the folder for output: %w", err)
	}
	f, err := os.Create(filepath.Join(o.out, name+".csv"))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := t.Write(f, "csv"); err != nil {
		_ = f.Close()
		return fmt.Errorf("write %s: %w", name, err)
	}
	return f.Close()
}
