package main

import (
	"context"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/contest"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
)

// truer plays ours and three peers in the picture made truer, one thing at a time,
// and everybody with all of it.
func truer(ctx context.Context, o *options) error {
	traces := o.read(contest.Sources)
	some := []contest.Candidate{contest.Ours("ours", simulate.OurPolicy())}
	everybody := append(some[:1:1], contest.Peers()...)
	for _, c := range contest.Peers() {
		if c.Name == "HPA 0.7" || c.Name == "HPA 0.5" || c.Name == "Flink 0.5, restart D" {
			some = append(some, c)
		}
	}
	truths := contest.Truths()
	var outcomes []*contest.Outcome
	for i, truth := range truths {
		candidates := some
		if i == len(truths)-1 && !o.ours {
			candidates = everybody
		}
		out, err := o.play(ctx, &traces, contest.Game{Candidates: o.among(candidates), World: truth.World})
		if err != nil {
			return err
		}
		outcomes = append(outcomes, out)
	}
	last := outcomes[len(outcomes)-1]
	tables := []table.Table{contest.Costs(truths, outcomes)}
	if !o.ours {
		means, losses := last.Means(traces.Sources), last.Losses(0)
		means.Title, losses.Title = "All of these: "+means.Title, "All of these: "+losses.Title
		tables = append(tables, means, losses)
	}
	if err := o.save("truer", last.Detail()); err != nil {
		return err
	}
	return o.print(tables...)
}
