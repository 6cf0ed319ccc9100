package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// publishing is a policy of a service that can be published.
var publishing = houseOptions{Initial: 3, Above: `bundle = "bundles"`, Policy: `
  genome = "pod.genome.hcl"
  drain { timeout = "1s" }`}

// publish publishes a release as a person does and returns its genome's digest.
func (h *house) publish(release string) string {
	h.t.Helper()
	h.write("pod.genome.hcl", fmt.Sprintf("command = [\"sleep\"]\nenvironment = { RELEASE = %q }\n", release))
	h.succeed("publish", "pod")
	p, err := h.fleet.Published(h.t.Context(), "pod")
	h.must(err)
	return p.Genome
}

// fewest watches how many cells take work, until the function it returns is
// called, which tells the least and the most that there were.
func (h *house) fewest() func() (least, most int) {
	ctx, cancel := context.WithCancel(h.t.Context())
	least, most, done := 1<<30, 0, make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			members, err := h.fleet.Members(ctx, "pod")
			if err == nil {
				passing := 0
				for _, m := range members {
					if m.Health == fleet.Passing {
						passing++
					}
				}
				least, most = min(least, passing), max(most, len(members))
			}
			time.Sleep(30 * time.Millisecond)
		}
	}()
	return func() (int, int) { cancel(); <-done; return least, most }
}

// renewed waits until three cells, all of a genome, are what everything agrees on.
func (h *house) renewed(genome string) []string {
	h.t.Helper()
	var names []string
	h.await("three cells of the genome", func(ctx context.Context) error {
		names = nil
		if err := h.agree(ctx, 3); err != nil {
			return err
		}
		members, err := h.fleet.Members(ctx, "pod")
		if err != nil {
			return err
		}
		for _, m := range members {
			if m.Genome != genome {
				return fmt.Errorf("%s is of genome %q\n%s", m.Name, m.Genome, h.logs())
			}
			names = append(names, m.Name)
		}
		return nil
	})
	return names
}

// A service renews itself to what is published: one newcomer at a time, beside
// the cells there should be. A genome that can't live stops at its first
// newcomer, and the way back is to publish the one before.
func TestRenewal(t *testing.T) {
	needServers(t)
	t.Parallel()
	o := publishing
	o.Min, o.Max = 3, 5
	h := newHouse(t, o)
	h.apply()
	h.settled(3, time.Minute)
	stop := h.fewest()
	one := h.publish("one")
	names := h.renewed(one)
	if least, most := stop(); least < 3 || most > 4 {
		t.Errorf("there were %d to %d cells, want 3 or 4 at any time", least, most)
	}
	wantTree := "pod-4, generation 1, born .* ago, genome " + short(one) + ", passing: 3 of 3 cells are of another genome than the one published"
	if out := h.succeed("status", "-lineage"); !regexp.MustCompile(wantTree).MatchString(out) {
		t.Errorf("the lineage doesn't have %q:\n%s", wantTree, out)
	}
	main := filepath.Join(h.module(), "main.tf")
	whole, err := os.ReadFile(main)
	h.must(err)
	h.write("pod/main.tf", strings.Replace(string(whole), `"sleep"`, `"/nowhere/to/be/found"`, 1))
	stop = h.fewest()
	broken := h.publish("broken")
	var halt *fleet.Halt
	testkit.Await(t, 2*time.Minute, func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err != nil {
			return err
		}
		if halt = record.Halt; halt == nil || halt.Genome != broken {
			return fmt.Errorf("not halted: %+v\n%s", record, h.logs())
		}
		return nil
	})
	h.settled(3, time.Minute)
	if after := h.renewed(one); fmt.Sprint(after) != fmt.Sprint(names) {
		t.Errorf("the cells are %v, were %v", after, names)
	}
	if least, _ := stop(); least < 3 {
		t.Errorf("there were only %d cells", least)
	}
	out := h.succeed("status")
	for _, want := range []string{"3 of 3 cells are of another genome than " + short(broken), "the renewal is stopped: pod-", "publish another genome, or the one before"} {
		if !strings.Contains(out, want) {
			t.Errorf("status doesn't say %q:\n%s", want, out)
		}
	}
	// The way back, as publish told it.
	p, err := h.fleet.Published(t.Context(), "pod")
	h.must(err)
	h.write("pod/main.tf", string(whole))
	h.succeed("publish", "-digest", p.Before, "pod")
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err == nil && (record.Halt != nil || record.Genome != one) {
			err = fmt.Errorf("halt %+v of %s", record.Halt, record.Genome)
		}
		return err
	})
	if after := h.renewed(one); fmt.Sprint(after) != fmt.Sprint(names) {
		t.Errorf("after the way back the cells are %v, were %v", after, names)
	}
	h.succeed("pause")
	h.destroy()
}

// Where max leaves no room, one goes first; where that were fewer than min,
// nothing is done, and it is said.
func TestRenewalWithoutRoom(t *testing.T) {
	needServers(t)
	t.Parallel()
	o := publishing
	o.Min, o.Max = 2, 3
	h := newHouse(t, o)
	h.apply()
	h.settled(3, time.Minute)
	stop := h.fewest()
	h.renewed(h.publish("one"))
	if least, most := stop(); least < 2 || most > 3 {
		t.Errorf("there were %d to %d cells, want 2 or 3 at any time", least, most)
	}
	h.succeed("pause")
	h.destroy()
}
