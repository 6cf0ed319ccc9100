package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trace"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trial"
)

var simulateCommand = command{
	name: "simulate", args: "[SERVICE]",
	summary: "what a policy would have done under a recorded load, and which settings would be better",
	note: `The load is a file of counts per interval, of one row a request, or what Prometheus answered a range query with; it may be
packed with gzip or bzip2. The law is the one that decides in a leader. Nothing is reached but the two files.

  homeostat simulate -trace week.csv -cell-rate 120
  homeostat simulate -trace week.json -unit rate -cell-rate 120 -peers -picture week.svg
  homeostat simulate -trace week.csv -cell-rate 120 -set price=0.98,min=4
  homeostat simulate -trace week.csv -cell-rate 120 -search price,upper,min

docs/simulate.md says how to export a load, and how to read what is printed.`,
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		o := simulateOptions{}
		o.define(fs)
		return func(ctx context.Context, std stdio, args []string) error {
			name, err := atMostOne(args)
			if err != nil {
				return err
			}
			if name != "" && o.service != "" && name != o.service {
				return misused("-service %s and %s are two services: give one", o.service, name)
			}
			if name != "" {
				o.service = name
			}
			return s.simulate(ctx, std, &o)
		}
	},
}

// simulateOptions are the flags of simulate.
type simulateOptions struct {
	service, trace           string
	load                     trace.Options
	columns                  string
	cellRate, peakCells      float64
	birth                    string
	slo                      time.Duration
	start, partitions, seeds int
	overlap, peers, measures bool
	truer                    simulate.Truer
	set, search              string
	tries                    int
	format, picture          string
}

func (o *simulateOptions) define(fs *flag.FlagSet) {
	fs.StringVar(&o.service, "service", "", "the `service`, where the policy has several; or give it as an argument")
	fs.StringVar(&o.trace, "trace", "", "the `file` with the recorded load; - for the standard input")
	o.defineLoad(fs)
	fs.Float64Var(&o.cellRate, "cell-rate", 0, "what one busy cell does, a `rate` in requests a second")
	fs.Float64Var(&o.peakCells, "peak-cells", 0, "instead of -cell-rate: how many `cells` the peak keeps busy to 90 %")
	fs.StringVar(&o.birth, "birth", "", "how long births take: a median as in 60s, with a p90 as in 60s,p90=95s, or measured `times` as in 52s,58s,75s (default birth.time of the policy)")
	fs.DurationVar(&o.slo, "slo", 0, "a request is slow that waits longer than this `time` (default the policy's kafka_lag.upper or latency.upper)")
	fs.IntVar(&o.start, "start", 0, "how many `cells` there are at the beginning (default what the first minute keeps busy to 70 %)")
	fs.IntVar(&o.partitions, "partitions", 0, "how many `partitions` the topic has, which bound the cells (default no bound)")
	fs.BoolVar(&o.overlap, "overlap", false, "orders may overlap, where the policy has one follow the other")
	fs.Float64Var(&o.truer.FailShare, "failed-births", 0, "the `share` of births that fail, 0 to below 1; they are tried again after birth.backoff_min")
	fs.Float64Var(&o.truer.LateShare, "late-births", 0, "the `share` of orders that take three times as long, 0 to 1")
	fs.DurationVar(&o.truer.Pause, "pause", 0, "for how much `time` consumers pause when an order lands, as while a group rebalances")
	fs.Float64Var(&o.truer.Drift, "drift", 0, "by which `share` what a cell can do swings within a day, 0 to below 1")
	fs.BoolVar(&o.truer.Queueing, "queueing", false, "requests come singly and differ in length, so that some wait though there is room on average")
	fs.IntVar(&o.seeds, "seeds", 3, "how many `times` it is played, each with other noise")
	fs.BoolVar(&o.peers, "peers", false, "play other autoscalers beside the policy, by their published rules")
	fs.StringVar(&o.set, "set", "", "play the policy also with other `numbers`, as in price=0.98,min=4")
	fs.StringVar(&o.search, "search", "", "look for better numbers: `names` of the policy, as in price,upper,min; values to try, as in min=2:4:8")
	fs.IntVar(&o.tries, "tries", 60, "how many `choices` of numbers -search tries at most")
	fs.BoolVar(&o.measures, "measures", false, "print the measures of elasticity, too")
	fs.StringVar(&o.format, "format", "text", "`format` of the tables: "+strings.Join(table.Formats, ", "))
	fs.StringVar(&o.picture, "picture", "", "draw load, cells and waiting into this SVG `file`")
}

// defineLoad adds the flags that say how the file is read.
func (o *simulateOptions) defineLoad(fs *flag.FlagSet) {
	fs.StringVar(&o.load.Rows, "rows", "", "what a row of the trace is, a `kind`: counts or requests (default found out)")
	fs.StringVar(&o.load.Unit, "unit", "", "what its numbers are, a `unit`: count (of the interval), rate (a second) or total (a counter that rises) (default found out)")
	fs.StringVar(&o.columns, "column", "", "the `columns` of the counts, by name or number, added up; all for all but the time (default found out)")
	fs.DurationVar(&o.load.Step, "step", 0, "how long a row stands for, a `time` (default found out)")
	fs.StringVar(&o.load.Gaps, "gaps", "", "what missing rows mean, by a `rule`: line (as those around them), zero (no load), close (leave the time out) or error (default line, if most rows are there)")
	fs.StringVar(&o.load.Doubled, "doubled", "", "which of rows of the same time count, by a `rule`: sum, first, last or error (default error, unless they are equal)")
	fs.StringVar(&o.load.From, "from", "", "leave out what comes before: a `time` as in the trace, or how long after its beginning, as in 36h or 2d")
	fs.StringVar(&o.load.To, "to", "", "leave out what comes from this `time` on")
	fs.Float64Var(&o.load.Scale, "scale", 0, "multiply the load by this `factor`")
	fs.Float64Var(&o.load.Peak, "peak", 0, "scale the load so that its peak is this `rate` in requests a second")
}

// check finds flags that can't be meant.
func (o *simulateOptions) check() error {
	share := func(v float64) bool { return v >= 0 && v <= 1 }
	switch {
	case o.trace == "":
		return misused("name the recorded load with -trace; docs/simulate.md says how to export one")
	case o.cellRate == 0 && o.peakCells == 0:
		return misused("say what a cell can do: -cell-rate, how many requests a second, or -peak-cells, how many cells the peak needs")
	case o.cellRate != 0 && o.peakCells != 0:
		return misused("-cell-rate and -peak-cells say the same: give one of them")
	case !(o.cellRate >= 0) || !(o.peakCells >= 0) || math.IsInf(o.cellRate+o.peakCells, 0):
		return misused("-cell-rate and -peak-cells must be above zero")
	case !share(o.truer.FailShare) || !share(o.truer.LateShare) || !share(o.truer.Drift) || o.truer.FailShare == 1 || o.truer.Drift == 1:
		return misused("-failed-births, -late-births and -drift are shares, from 0 to below 1")
	case o.seeds < 1 || o.seeds > 1000:
		return misused("-seeds %d: play it 1 to 1000 times", o.seeds)
	case o.tries < 1 || o.tries > 100_000:
		return misused("-tries %d: try 1 to 100000 choices", o.tries)
	case o.start < 0 || o.partitions < 0 || o.slo < 0 || o.truer.Pause < 0:
		return misused("-start, -partitions, -slo and -pause can't be below zero")
	case !slices.Contains(table.Formats, o.format):
		return misused("-format %q: use one of %s", o.format, strings.Join(table.Formats, ", "))
	case o.search != "" && (o.set != "" || o.peers || o.picture != ""):
		return misused("-search goes with none of -set, -peers and -picture")
	}
	if o.columns != "" {
		o.load.Columns = strings.Split(o.columns, ",")
	}
	if err := o.load.Check(); err != nil {
		return misused("-%w", err)
	}
	return nil
}

func (s *settings) simulate(ctx context.Context, std stdio, o *simulateOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	p, err := s.load(std)
	if err != nil {
		return err
	}
	service, err := oneService(p, o.service)
	if err != nil {
		return err
	}
	sim, err := newSimulation(s.path(), service, o)
	if err != nil {
		return err
	}
	if o.search != "" {
		return sim.searchSettings(ctx, std)
	}
	return sim.play(ctx, std)
}

// simulation is what is played: a service under a load.
type simulation struct {
	*simulateOptions
	policyFile string
	service    *policy.Service
	series     *trace.Series
	load       []float64 // arrivals per second, a value each second
	birth      trial.Birth
}

func newSimulation(policyFile string, service *policy.Service, o *simulateOptions) (*simulation, error) {
	if service.KafkaLag == nil && !service.AnswersRequests() {
		return nil, fmt.Errorf("%s has no signal of load, so only its bounds are kept and there is nothing to simulate: give it kafka_lag, requests or latency",
			service.Name)
	}
	if most := mostCells(service); o.start > most {
		return nil, misused("-start %d: the policy allows %s at most", o.start, plural(most, "cell"))
	}
	sim := &simulation{simulateOptions: o, policyFile: policyFile, service: service}
	text := o.birth
	if text == "" {
		text = max(service.Birth.Time, time.Second).String()
	}
	var err error
	if sim.birth, err = trial.ParseBirth(text); err != nil {
		return nil, misused("-birth: %w", err)
	}
	if sim.series, err = trace.ReadFile(o.trace, o.load); err != nil {
		return nil, err
	}
	t := simulate.Trace{Name: sim.series.Name, Step: sim.series.Step, Rates: sim.series.Rates()}
	sim.load = t.Seconds()
	if o.peakCells > 0 {
		peak := slices.Max(t.Rates)
		if peak == 0 {
			return nil, fmt.Errorf("%s has no load at all, so no number of cells is what its peak needs: give -cell-rate", o.trace)
		}
		o.cellRate = peak / (o.peakCells * simulate.DefaultWorld().DemandBusy)
	}
	return sim, nil
}

// play plays the policy, and what is asked for beside it.
func (sim *simulation) play(ctx context.Context, std stdio) error {
	contestants, err := sim.contestants()
	if err != nil {
		return err
	}
	fares, err := trial.Play(ctx, sim.load, contestants, trial.Seeds(1, sim.seeds))
	if err != nil {
		return err
	}
	if err := sim.print(std, fares); err != nil {
		return err
	}
	if sim.picture == "" {
		return nil
	}
	if err := sim.draw(contestants); err != nil {
		return err
	}
	if sim.format == "text" {
		say(std.Out, "Drawn: %s", sim.picture)
	}
	return nil
}
