package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The ways to get one more cell that BenchmarkBirth puts side by side.
const (
	byLeader = "leader"
	byHand   = "plan && apply"
	bare     = "bare apply"
)

// BenchmarkBirth measures how long one more cell takes, from the instant an
// order is placed to the newborn's passing as Consul shows it to anybody:
//
//   - ordered by the service's leader,
//   - by `terraform plan -out p && terraform apply p` typed for the same change,
//   - by `terraform apply -auto-approve` alone.
//
// All three are done in each round, in the same house and in an order that
// changes from round to round, each from the same two cells, to which the house
// is brought back in between. The leader is paused while somebody types.
func BenchmarkBirth(b *testing.B) {
	rounds := measuring(b)
	// An order is placed at a beat; the time up to the next is in no figure.
	h := newHouse(b, houseOptions{Beat: "1s", Policy: `drain { timeout = "0s" }`})
	h.env = append(h.env, "HOMEOSTAT_LOG_LEVEL=debug", "HOMEOSTAT_LOG_FORMAT=json")
	h.apply()
	h.settled(1, time.Minute)
	bench := &birthBench{house: h, seen: watchPassing(b, h.consul)}
	bench.pin(2)
	first := bench.order()
	b.Logf("the first order of all, on whose way it is learned what an order changes: %.0f ms",
		ms(bench.seen.await(b, first.Add[0].Name).Sub(first.Placed)))
	h.settled(2, time.Minute)

	ways := []func(){bench.ordered, bench.typed, bench.bare}
	for round := range rounds {
		bench.round = round
		for i := range ways {
			ways[(round+i)%len(ways)]()
		}
		b.Logf("round %d of %d, load %s: %s", round+1, rounds, machineLoad(), bench.lastRound())
	}

	leader, hand := bench.of(byLeader, whole), bench.of(byHand, whole)
	var inRound []time.Duration
	for i := range leader {
		inRound = append(inRound, leader[i]-hand[i])
	}
	b.Logf("%d rounds; the leader's less the typed one's within a round, median: %.0f ms\n%s", rounds, ms(quantile(inRound, 0.5)), bench.table())
	report(b, map[string]float64{
		"leader-ms":     ms(quantile(leader, 0.5)),
		"typed-ms":      ms(quantile(hand, 0.5)),
		"bare-ms":       ms(quantile(bench.of(bare, whole), 0.5)),
		"difference-ms": ms(quantile(leader, 0.5) - quantile(hand, 0.5)),
	})
}

// The spans that a birth is made of.
const (
	toPlan      = "order to plan"
	planning    = "plan"
	toApply     = "plan to apply"
	toPassing   = "apply to passing"
	toApplied   = "passing to apply's end"
	whole       = "order to passing"
	wholeReturn = "order to apply's end"
	// Waits hide in the spans above on a machine that others share; these don't.
	terraformCPU = "CPU time of Terraform"
	leaderCPU    = "CPU time of the leader"
)

// birthBench is a house whose births are measured.
type birthBench struct {
	*house
	figures
	seen  *passings
	round int
	used  time.Duration // CPU time of the Terraform that was run by hand
}

// instants are when the parts of one birth began and ended.
type instants struct {
	order, plan, planned, apply, applied, passing time.Time
}

func (b *birthBench) note(way string, at instants) {
	if !at.planned.IsZero() {
		b.add(way, toPlan, at.plan.Sub(at.order))
		b.add(way, planning, at.planned.Sub(at.plan))
		b.add(way, toApply, at.apply.Sub(at.planned))
	}
	b.add(way, toPassing, at.passing.Sub(at.apply))
	b.add(way, toApplied, at.applied.Sub(at.passing))
	b.add(way, whole, at.passing.Sub(at.order))
	b.add(way, wholeReturn, at.applied.Sub(at.order))
}

func (b *birthBench) lastRound() string {
	var parts []string
	for _, way := range []string{byLeader, byHand, bare} {
		d := b.of(way, whole)
		parts = append(parts, fmt.Sprintf("%s %.0f ms", way, ms(d[len(d)-1])))
	}
	return strings.Join(parts, ", ")
}

// ordered lets the leader order one more cell, and then takes one away.
func (b *birthBench) ordered() {
	leader := b.leader()
	before := cpuOf(b.t, leader)
	b.pin(3)
	order := b.order()
	at := instants{order: order.Placed, passing: b.seen.await(b.t, order.Add[0].Name)}
	b.settled(3, time.Minute)
	b.fromLog(order.Placed, &at)
	b.note(byLeader, at)
	after := cpuOf(b.t, leader)
	b.add(byLeader, terraformCPU, after.children-before.children)
	b.add(byLeader, leaderCPU, after.own-before.own)
	b.pin(2)
	b.settled(2, time.Minute)
}

// leader is the leader's process.
func (b *birthBench) leader() int {
	b.t.Helper()
	holder, err := b.fleet.Leader(b.t.Context(), "pod")
	b.must(err)
	return holder.PID
}

func (b *birthBench) pin(count int) {
	b.t.Helper()
	b.must(b.fleet.Pin(b.t.Context(), "pod", fleet.Pin{Count: count, By: "benchmark"}))
}

// order waits for the record to order a birth.
func (b *birthBench) order() fleet.Order {
	b.t.Helper()
	var order fleet.Order
	testkit.Await(b.t, time.Minute, func(ctx context.Context) error {
		record, _, err := b.fleet.Record(ctx, "pod")
		switch {
		case err != nil:
			return err
		case len(record.Orders) == 0 || len(record.Orders[0].Add) == 0:
			return errors.New("no birth is ordered")
		}
		order = record.Orders[0]
		return nil
	})
	return order
}

// fromLog reads from the leader's own log when it ran Terraform for an order.
func (b *birthBench) fromLog(placed time.Time, at *instants) {
	b.t.Helper()
	marks := map[string]*time.Time{
		"terraform begins plan": &at.plan, "terraform ended plan": &at.planned,
		"terraform begins apply": &at.apply, "terraform ended apply": &at.applied,
	}
	for _, line := range b.leaderLog() {
		if mark := marks[line.Message+" "+line.Command]; mark != nil && mark.IsZero() && !line.Time.Before(placed) {
			*mark = line.Time
		}
	}
	for name, mark := range marks {
		if mark.IsZero() {
			b.t.Fatalf("the leader's log doesn't say when %s", name)
		}
	}
}

// logLine is what is read of a line of a sidecar's log.
type logLine struct {
	Time    time.Time `json:"time"`
	Message string    `json:"msg"`
	Command string    `json:"command"`
}

func (b *birthBench) leaderLog() []logLine {
	b.t.Helper()
	leader, err := b.fleet.Leader(b.t.Context(), "pod")
	b.must(err)
	paths, err := filepath.Glob(filepath.Join(b.dir, "cells", "pod", leader.Cell, "*.log"))
	b.must(err)
	var lines []logLine
	for _, path := range paths {
		text, err := os.ReadFile(path)
		b.must(err)
		for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
			var line logLine
			if json.Unmarshal(scan.Bytes(), &line) == nil { // the application's own lines are no JSON
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// typed is one more cell as a person would make it, from a plan looked at
// first, and its removal.
func (b *birthBench) typed() {
	b.byHand(byHand, func(files map[string]string, at *instants) {
		at.plan = at.order
		b.terraformDoes("plan", "-no-color", "-input=false", "-var-file="+files["more"], "-out="+files["plan"])
		at.planned = time.Now()
		at.apply = at.planned
		b.terraformDoes("apply", "-no-color", "-input=false", files["plan"])
	})
}

// bare is one more cell by terraform apply alone, and its removal.
func (b *birthBench) bare() {
	b.byHand(bare, func(files map[string]string, at *instants) {
		at.apply = at.order
		b.terraformDoes("apply", "-no-color", "-input=false", "-auto-approve", "-var-file="+files["more"])
	})
}

// byHand measures a birth that a person makes while the leader is paused.
func (b *birthBench) byHand(way string, birth func(files map[string]string, at *instants)) {
	b.must(b.fleet.Pause(b.t.Context(), "pod", fleet.Pause{By: "benchmark"}))
	record, _, err := b.fleet.Record(b.t.Context(), "pod")
	b.must(err)
	name := fmt.Sprintf("pod-%s-%d", strings.NewReplacer(" ", "", "&", "").Replace(way), b.round)
	// Beside the root module: a new file in it would be a change of the module.
	files := map[string]string{
		"more":  b.variables("more", append(slices.Clone(record.Names), name)),
		"fewer": b.variables("fewer", record.Names),
		"plan":  filepath.Join(b.dir, "typed-plan"),
	}
	b.used = 0
	leader := b.leader()
	before := cpuOf(b.t, leader).own
	at := instants{order: time.Now()}
	birth(files, &at)
	at.applied = time.Now()
	at.passing = b.seen.await(b.t, name)
	b.note(way, at)
	b.add(way, terraformCPU, b.used)
	b.add(way, leaderCPU, cpuOf(b.t, leader).own-before)

	b.terraformDoes("apply", "-no-color", "-input=false", "-auto-approve", "-var-file="+files["fewer"])
	b.must(b.fleet.Resume(b.t.Context(), "pod"))
	b.settled(2, time.Minute)
}

// variables writes a variable file that asks for these cells.
func (b *birthBench) variables(name string, cells []string) string {
	b.t.Helper()
	text, err := json.Marshal(map[string]any{"desired_count": len(cells), "cell_names": cells})
	b.must(err)
	b.write(name+".tfvars.json", string(text))
	return filepath.Join(b.dir, name+".tfvars.json")
}

// terraformDoes runs Terraform as a person does and adds up its CPU time.
func (b *birthBench) terraformDoes(args ...string) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), b.terraform, args...)
	cmd.Dir, cmd.Env = b.module(), b.env
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("terraform %v: %v\n%s\n%s", args, err, out, b.logs())
	}
	b.used += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// passings tells when each cell passed for the first time, by blocking queries
// that Consul answers as soon as it does.
type passings struct {
	mu    sync.Mutex
	first map[string]time.Time // by the cell's name
	err   error
}

// watchPassing watches the cells until the benchmark ends.
func watchPassing(tb testing.TB, consul *testkit.ConsulServer) *passings {
	tb.Helper()
	client, err := consul.Client()
	if err != nil {
		tb.Fatal(err)
	}
	p := &passings{first: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { p.watch(ctx, client) })
	tb.Cleanup(func() { cancel(); watching.Wait() })
	return p
}

func (p *passings) watch(ctx context.Context, client *api.Client) {
	var index uint64
	for ctx.Err() == nil {
		query := &api.QueryOptions{WaitIndex: index, WaitTime: time.Minute}
		entries, meta, err := client.Health().Service("pod", "", true, query.WithContext(ctx))
		now := time.Now()
		p.mu.Lock()
		if p.err = err; err == nil {
			index = meta.LastIndex
			for _, e := range entries {
				name := e.Service.Meta["homeostat_cell"]
				if _, seen := p.first[name]; !seen {
					p.first[name] = now
				}
			}
		}
		p.mu.Unlock()
	}
}

// await returns when the cell passed.
func (p *passings) await(tb testing.TB, cell string) time.Time {
	tb.Helper()
	var at time.Time
	testkit.Await(tb, time.Minute, func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		var seen bool
		if at, seen = p.first[cell]; !seen {
			return errors.Join(fmt.Errorf("%s doesn't pass", cell), p.err)
		}
		return nil
	})
	return at
}
