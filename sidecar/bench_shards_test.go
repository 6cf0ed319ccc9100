package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

var shardCells = flag.Int("shard-cells", 10_000, "how many cells the larger service of BenchmarkShards has")

// dataCells are cells that are nothing but an entry in a state, keyed as our modules
// key theirs.
const dataCells = `
variable "desired_count" { type = number }
variable "cell_names" {
  type    = list(string)
  default = null
}
locals {
  cells = { for name in var.cell_names : name => name }
}
resource "terraform_data" "cell" {
  for_each = local.cells
  input    = each.key
}
`

// BenchmarkShards measures one cell more and one fewer of a service of ten thousand
// cells beside the same of a service of ten, in turn, and the first building of ten
// thousand beside that of a thousand, of which one is built before it and one after,
// since a machine isn't as fast at all times. Leader, guard and Terraform are the real ones.
// From a pin to the end of its order counts, beats included. Ten thousand fill their
// hundred shards to the last, so that one more has a workspace for itself, which is the
// cheapest case: it is measured with fifty more, too, whose last shard is half full, and
// in a shard that is full.
// What leader and Terraform take in memory is sampled while the large one is built.
func BenchmarkShards(b *testing.B) {
	rounds := measuring(b)
	large, part := *shardCells, max(1, *shardCells/10)
	ten, all := newSpreadBench(b), newSpreadBench(b)
	ten.to(10)
	before := buildOnce(b, part)
	stop := all.watch()
	built := all.to(large)
	leader, children := stop()
	// The leader of the large one goes on beside this.
	after := buildOnce(b, part)
	ratio := func(small time.Duration) float64 { return float64(built) / float64(small) }
	b.Logf("first building: %d cells %.1f s; %d before it %.1f s, %.1f times, and %d after it %.1f s, %.1f times", large, built.Seconds(), part, before.Seconds(), ratio(before), part, after.Seconds(), ratio(after))
	b.Logf("memory meanwhile: leader at most %.0f MiB, what it runs at most %.0f MiB together", leader, children)

	var times figures
	for range rounds {
		for _, cells := range []int{10, large} {
			s, row := ten, fmt.Sprintf("at %d cells", cells)
			if cells == large {
				s = all
			}
			times.add("+1", row, s.anyTime(cells+1))
			times.add("-1", row, s.anyTime(cells))
			// The last one leaves a workspace that is full otherwise: the dearest case.
			times.add("-1 of a full one", row, s.anyTime(cells-1))
			times.add("+1 into it", row, s.anyTime(cells))
		}
		s, half := all, large+halfShard
		s.to(half)
		times.add("+1 half full", times.rows[1], s.anyTime(half+1))
		times.add("-1 half full", times.rows[1], s.anyTime(half))
		s.to(large)
	}
	b.Logf("%d rounds, from pin to the order's end, load %s\n%s", rounds, machineLoad(), times.table())
	values := map[string]float64{"first-build-ratio": max(ratio(before), ratio(after)), "leader-MiB": leader, "children-MiB": children}
	// All are to the first two at ten: what ten take for the full one falls into the time in
	// which the large one's leader looks at its next shard.
	for unit, column := range map[string][2]string{
		"more-ratio": {"+1", "+1"}, "fewer-ratio": {"-1", "-1"},
		"more-half-ratio": {"+1 half full", "+1"}, "fewer-half-ratio": {"-1 half full", "-1"},
		"more-full-ratio": {"+1 into it", "+1"}, "fewer-full-ratio": {"-1 of a full one", "-1"},
	} {
		values[unit] = float64(quantile(times.of(column[0], times.rows[1]), 0.5)) / float64(quantile(times.of(column[1], times.rows[0]), 0.5))
	}
	report(b, values)
	atRest := all.rest()
	b.Logf("leader of %d cells at rest: %.1f ms of a processor a beat", large, atRest)
	b.ReportMetric(atRest, "ms-cpu/beat")
}

// spreadBench is one service with a leader without cells of its own.
type spreadBench struct {
	*house
	kv *api.KV
}

// halfShard is half of the default shard_size.
const halfShard = 50

// benchBeat is short, so that what is measured isn't the wait for the next beat.
const benchBeat = 200 * time.Millisecond

func newSpreadBench(b *testing.B) *spreadBench {
	b.Helper()
	h := newHouse(b, houseOptions{Module: dataCells, Min: 1, Max: *shardCells + 2*halfShard, Beat: benchBeat.String(), Policy: `
  members = "state"
  drain { timeout = "0s" }
  limits { changes_per_hour = 10000 }
`})
	consul, err := api.NewClient(&api.Config{Address: h.consul.Addr()})
	h.must(err)
	h.must(h.fleet.Pin(b.Context(), "pod", fleet.Pin{Count: 1, By: "bench"}))
	h.alone()
	s := &spreadBench{house: h, kv: consul.KV()}
	s.to(1)
	return s
}

// buildOnce builds a service of so many cells, and ends its leader, which would take a
// share of the machine from what is measured next.
func buildOnce(b *testing.B, cells int) time.Duration {
	b.Helper()
	s := newSpreadBench(b)
	took := s.to(cells)
	s.clear()
	return took
}

// to pins a count and waits, by a blocking query, until no order is left. It returns
// how long that took.
func (s *spreadBench) to(n int) time.Duration {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 50*time.Minute)
	defer cancel()
	began := time.Now()
	s.must(s.fleet.Pin(ctx, "pod", fleet.Pin{Count: n, By: "bench"}))
	for index := uint64(0); ; {
		_, meta, err := s.kv.Get("homeostat/pod/record", (&api.QueryOptions{WaitIndex: index, WaitTime: 10 * time.Second}).WithContext(ctx))
		s.must(err)
		index = meta.LastIndex
		record, _, err := s.fleet.Record(ctx, "pod")
		if err == nil && record.Count == n && len(record.Orders) == 0 {
			return time.Since(began)
		}
		if ctx.Err() != nil {
			s.t.Fatalf("not %d cells: %v\n%s", n, ctx.Err(), strings.Join(s.logsAlone(), ""))
		}
	}
}

// anyTime is to at any time of a beat: what is measured is not to hang on when in one
// the order before has ended.
func (s *spreadBench) anyTime(n int) time.Duration {
	time.Sleep(rand.N(benchBeat))
	return s.to(n)
}

// leaderPID is the process that leads.
func (s *spreadBench) leaderPID() int {
	s.t.Helper()
	holder, err := s.fleet.Leader(s.t.Context(), "pod")
	s.must(err)
	return holder.PID
}

// watch samples the memory of the leader and of all that it runs, until it is
// stopped. It returns the most of each, in MiB.
func (s *spreadBench) watch() (stop func() (leader, children float64)) {
	pid, done := s.leaderPID(), make(chan struct{})
	var own, below float64
	var g sync.WaitGroup
	g.Go(func() {
		for {
			own, below = max(own, rss(pid)), max(below, rssBelow(pid))
			select {
			case <-done:
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	})
	return func() (float64, float64) {
		close(done)
		g.Wait()
		return own, below
	}
}

// rss is what a process holds in memory, in MiB; 0 for one that has ended.
func rss(pid int) float64 {
	text, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

// rssBelow is what the processes below another hold together.
func rssBelow(pid int) (sum float64) {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				sum += rss(child) + rssBelow(child)
			}
		}
	}
	return sum
}

// rest lets the leader go round for a while with nothing to do. It returns what a beat
// took of a processor, in milliseconds.
func (s *spreadBench) rest() float64 {
	s.t.Helper()
	const span = 10 * time.Second
	pid := s.leaderPID()
	before := cpuOf(s.t, pid).own
	time.Sleep(span)
	return ms(cpuOf(s.t, pid).own-before) * float64(benchBeat) / float64(span)
}
