package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

var (
	lifeMinutes = flag.Float64("life", 0, "how many minutes of the trace TestLife plays; 0 for none")
	lifeTrace   = flag.String("life-trace", "", "the trace that TestLife plays")
	lifeFrom    = flag.String("life-from", "", "where in the trace it begins")
	lifeKeep    = flag.String("life-keep", "", "folder for what was recorded")
	lifeAgain   = flag.String("life-again", "", "a record to compare again, in the place of a run")
)

func TestMain(m *testing.M) { testkit.Main(m) }

// settling is how long the run is left alone before it is judged: the leader has to
// measure what a worker does.
const settling = 30 * time.Second

// The bounds of what a simulation may differ from life by: workers as a share of
// those there were, waits in seconds. It has no waits but those of a backlog: single
// jobs that queue, fetches and a busy machine are not in it.
const (
	mostApart     = 0.10
	mostMeanApart = 0.5
	mostWaitApart = 2.0
	// mostMissing is which share of ten seconds' jobs may come later than that.
	mostMissing = 0.5
)

// tries is how often a run is begun anew that a busy machine has made void.
const tries = 2

// TestLife plays a trace at real workers, and what came of it through the simulation.
func TestLife(t *testing.T) {
	if *lifeMinutes <= 0 && *lifeAgain == "" {
		t.Skip("plays a trace for minutes: make test-life")
	}
	s := livePolicy(t)
	for try := 1; ; try++ {
		rec := take(t)
		sim := simulated(s, rec)
		a := compare(rec, sim, int(settling.Seconds()))
		t.Logf("\n%s", a)
		if *lifeKeep != "" {
			keep(t, *lifeKeep, rec, sim, a)
		}
		void := a.notProduced > mostMissing
		switch {
		case !void:
			a.judge(t)
			return
		case try < tries && *lifeAgain == "":
			t.Log("void: the jobs could not be put on the queue when they were due; once more")
		default:
			testkit.NotRun(t, "simulation against life", "this machine was too busy to put jobs on the queue when they were due")
		}
	}
}

// judge fails the test where life and simulation are too far apart, or that isn't known.
func (a agreement) judge(t *testing.T) {
	t.Helper()
	if !(a.difference <= mostApart) {
		t.Errorf("the numbers of workers are %.1f %% apart, over %.0f %%", 100*a.difference, 100*mostApart)
	}
	if apart := math.Abs(a.lifeWaits.mean - a.simWaits.mean); !(apart <= mostMeanApart) {
		t.Errorf("the mean waits are %.2f s apart, over %.1f s", apart, mostMeanApart)
	}
	if apart := math.Abs(a.lifeWaits.p99 - a.simWaits.p99); !(apart <= mostWaitApart) {
		t.Errorf("the waits that one job in a hundred exceeds are %.2f s apart, over %.1f s", apart, mostWaitApart)
	}
}

// take gives what was recorded: before, or in a run on a real Kafka.
func take(t *testing.T) recorded {
	t.Helper()
	if *lifeAgain != "" {
		rec, err := readRecorded(*lifeAgain)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	p, err := readPlan(*lifeTrace, *lifeFrom, time.Duration(*lifeMinutes*float64(time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	kafka := testkit.Kafka(t)
	r, err := newRig(t.Context(), "", kafka.Addr())
	if err != nil {
		t.Fatal(err)
	}
	run, err := live(t, r, p)
	down, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), downLimit)
	defer cancel()
	if err = errors.Join(err, r.down(down)); err != nil {
		t.Fatalf("%v\nthe logs are in %s", err, r.place.logs())
	}
	if err := r.place.remove(); err != nil {
		t.Error(err)
	}
	return record(run, p)
}

// live brings the example up and plays it.
func live(t *testing.T, r *rig, p plan) (*played, error) {
	t.Helper()
	if err := r.up(t.Context(), p); err != nil {
		return nil, err
	}
	s := newScreen(t.Output())
	run, err := play(t.Context(), r, p, func(ctx context.Context, run *played) { s.draw(run, loop.ReadStatus(ctx, r.fleet, service)) })
	if err != nil {
		return nil, err
	}
	sum := run.sum()
	t.Log(sum)
	if sum.done != sum.jobs {
		err = fmt.Errorf("%d jobs were put on the queue, and %d done", sum.jobs, sum.done)
	}
	return run, err
}
