package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

var (
	births    = flag.Int("births", 4, "how many births TestBirthsCut cuts")
	birthSeed = flag.Uint64("birth-seed", 0, "seed of TestBirthsCut; 0 draws one")
)

// mostApplies is how often a cut birth may have to be applied, the first included.
const mostApplies = 6

// TestBirthsCut makes one fault in each of many births on real machines, at an
// instant drawn uniformly over a birth, and applies again, as the next leader would,
// until it succeeds. Judged from outside, a birth that succeeds is there once, with
// its door shut, and one that failed has left nothing. Then the cell leaves, and its
// machine is used again.
func TestBirthsCut(t *testing.T) {
	t.Parallel()
	seed := *birthSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed=%d", seed)
	var all tally
	t.Cleanup(func() { t.Logf("%s seed=%d", all.line(), seed) })
	const pools = 2
	for k := range pools {
		share := (*births + k) / pools
		t.Run(fmt.Sprintf("pool %d", k+1), func(t *testing.T) {
			p := faultyPool(t, poolOptions{Machines: 2, Machine: testkit.MachineSpec{Disk: 400 << 20}, Authority: k == 1})
			// What is drawn doesn't depend on how the pools take turns.
			c := &cutter{pool: p, random: rand.New(rand.NewPCG(seed, uint64(k))), before: p.blank(), tally: &all}
			c.measure()
			for n := 0; n < share; {
				if c.birth() {
					n++
				}
			}
		})
	}
}

// cutter cuts births in one pool.
type cutter struct {
	*pool
	random *rand.Rand
	before map[string][]string
	tally  *tally
	span   time.Duration // how long a birth takes that isn't cut
	names  int
}

// cutFaults are what is drawn from. Those of a machine last for a while.
var cutFaults = map[string]func(c *cutter, a *applying, m *testkit.Machine, last time.Duration) error{
	"terraform killed": func(_ *cutter, a *applying, _ *testkit.Machine, _ time.Duration) error {
		return a.cmd.Process.Kill()
	},
	"provider killed": func(c *cutter, _ *applying, _ *testkit.Machine, _ time.Duration) error {
		k := kill{house: c.house, victim: "provider"}
		if pid := k.program(); pid > 0 {
			return syscall.Kill(pid, syscall.SIGKILL)
		}
		return errors.New("there is none")
	},
	"network cut": func(_ *cutter, _ *applying, m *testkit.Machine, last time.Duration) error {
		return lasting(last, m.Cut, m.Mend)
	},
	"machine reboots": func(_ *cutter, _ *applying, m *testkit.Machine, _ time.Duration) error {
		return m.Reboot(context.Background())
	},
	"sshd killed": func(_ *cutter, _ *applying, m *testkit.Machine, _ time.Duration) error {
		_, err := m.Exec(context.Background(), "pkill", "-KILL", "-x", "sshd")
		return err
	},
	"disk full": func(_ *cutter, _ *applying, m *testkit.Machine, last time.Duration) error {
		return lasting(last/2, m.FillDisk, m.FreeDisk)
	},
}

// lasting makes a fault and, after a while, undoes it.
func lasting(while time.Duration, begin, end func(context.Context) error) error {
	if err := begin(context.Background()); err != nil {
		return err
	}
	time.Sleep(while) // how long it lasts is what is drawn
	return end(context.Background())
}

// measure has cells born without a fault. The first ones find nothing of an earlier
// one on their machines, and take longer.
func (c *cutter) measure() {
	c.t.Helper()
	for range 2 * len(c.machines) {
		name := c.next()
		began := time.Now()
		c.begin().succeeds()
		c.span = time.Since(began)
		c.born(name)
		c.leave()
	}
	c.t.Logf("a birth takes %v", c.span.Round(time.Millisecond))
}

// next orders a cell of a new name, on any of the machines.
func (c *cutter) next() string {
	c.t.Helper()
	c.names++
	name := fmt.Sprintf("pod-%d", c.names)
	c.rewriteHosts()
	c.want(name)
	c.order(name)
	return name
}

// rewriteHosts gives the pool's machines in another order, in which they are taken.
func (c *cutter) rewriteHosts() {
	c.t.Helper()
	var hosts []map[string]any
	for _, k := range c.random.Perm(len(c.machines)) {
		hosts = append(hosts, map[string]any{"address": c.machines[k].Addr(), "host_keys": []string{c.machines[k].HostKey()}})
	}
	text, err := json.Marshal(hosts)
	c.must(err)
	main, err := os.ReadFile(filepath.Join(c.module(), "main.tf"))
	c.must(err)
	line := regexp.MustCompile(`(?m)^  hosts  .*$`)
	c.write("pod/main.tf", line.ReplaceAllLiteralString(string(main), "  hosts            = "+string(text)))
}

// leave has the cell leave, and all as it was.
func (c *cutter) leave() {
	c.t.Helper()
	c.want()
	c.order("")
	c.begin().succeeds()
	c.nothing()
}

// nothing waits until nothing is left, of programs here and in Consul too.
func (c *cutter) nothing() {
	c.t.Helper()
	c.gone(c.before)
	c.noState()
	c.await("nothing left here and in Consul", func(context.Context) error {
		if left := c.marked(); len(left) > 0 {
			return fmt.Errorf("processes %v", left)
		}
		return c.consulIsClean()
	})
}

// consulIsClean says what is in Consul that a later leader wouldn't expect, or sweep
// once it is old.
func (c *cutter) consulIsClean() error {
	client, err := c.consul.Client()
	if err != nil {
		return err
	}
	keys, _, err := client.KV().Keys("homeostat/", "", nil)
	if err != nil {
		return err
	}
	known := regexp.MustCompile(`^homeostat/pod/(record|lock|published|(tombstones|leave|left|births)/.+)$`)
	if odd := slices.DeleteFunc(keys, known.MatchString); len(odd) > 0 {
		return fmt.Errorf("keys %v", odd)
	}
	services, _, err := client.Catalog().Services(nil)
	if err != nil {
		return err
	}
	delete(services, "consul")
	sessions, _, err := client.Session().List(nil)
	if err != nil || len(services) > 0 || len(sessions) > 0 {
		return fmt.Errorf("services %v, sessions %v: %w", services, sessions, err)
	}
	return nil
}

// birth cuts one birth, and reports whether the fault met it.
func (c *cutter) birth() bool {
	c.t.Helper()
	name := c.next()
	fault := slices.Sorted(maps.Keys(cutFaults))[c.random.IntN(len(cutFaults))]
	wait := time.Duration(c.random.Int64N(int64(c.span)))
	last := time.Duration(c.random.Int64N(int64(30 * time.Second)))
	began := time.Now()
	apply := c.begin()
	time.Sleep(wait) // the instant is what is drawn
	over, missed := make(chan struct{}), errors.New("it was over before")
	if m := c.chosen(name, apply); m != nil {
		go func() {
			defer close(over)
			missed = cutFaults[fault](c, apply, m, last)
		}()
	} else {
		close(over)
	}
	failures := c.untilBorn(name, apply, over)
	<-over
	if err := missed; err != nil {
		c.t.Logf("%s: %s after %v did not meet it: %v", name, fault, wait.Round(time.Millisecond), err)
		fault = ""
	}
	c.born(name)
	c.tally.add(fault, failures)
	c.t.Logf("%s: %s after %v: born once, after %d applies and %v", name, fault, wait.Round(time.Millisecond), len(failures)+1, time.Since(began).Round(100*time.Millisecond))
	c.leave()
	c.tally.clean(fault)
	return fault != ""
}

// chosen waits for the machine that a birth is on; nil once the apply is over.
func (c *cutter) chosen(name string, apply *applying) *testkit.Machine {
	c.t.Helper()
	for {
		select {
		case <-apply.done:
			return nil
		case <-time.After(2 * time.Millisecond):
		}
		hosts, err := c.fleet.Hosts(c.t.Context())
		c.must(err)
		for _, m := range c.machines {
			if slices.ContainsFunc(hosts, func(h fleet.Host) bool { return h.Cell == name && h.Address == m.Addr() }) {
				return m
			}
		}
	}
}

// untilBorn applies until that succeeds, and returns what the others said. Of one
// that says so nothing is left, once the fault is over.
func (c *cutter) untilBorn(name string, apply *applying, over <-chan struct{}) (failures []string) {
	c.t.Helper()
	for {
		out, code := apply.wait()
		if code == 0 {
			return failures
		}
		why := cause(out)
		c.t.Logf("%s: exit %d: %s", name, code, why)
		failures = append(failures, why)
		if len(failures) == mostApplies {
			c.t.Fatalf("%s: not born after %d applies; the last said:\n%s", name, mostApplies, out)
		}
		if says(out, "nothing of this birth is left") {
			<-over
			c.nothing()
			c.tally.clear()
		}
		c.unlock()
		apply = c.begin()
	}
}

// cause is what a failed apply says was its cause, in one line.
func cause(out string) string {
	_, text, found := strings.Cut(out, "Cause:")
	if !found {
		_, text, _ = strings.Cut(out, "Error:")
	}
	text = strings.Join(strings.Fields(text), " ")
	return text[:min(len(text), 300)]
}

// tally counts what came of births.
type tally struct {
	mu                         sync.Mutex
	struck                     map[string]int
	born, again, cleared, left int
}

func (a *tally) add(fault string, failures []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if fault == "" {
		return
	}
	if a.struck == nil {
		a.struck = map[string]int{}
	}
	a.struck[fault]++
	a.born++
	if len(failures) > 0 {
		a.again++
	}
}

// clean counts a birth of which nothing was left once its cell had left.
func (a *tally) clean(fault string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if fault != "" {
		a.left++
	}
}

// clear counts a failed birth of which nothing was left.
func (a *tally) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleared++
}

func (a *tally) line() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("births=%d born_once=%d of_which_applied_again=%d gone_before_that=%d orphans=%d struck=%v", a.born, a.born, a.again, a.cleared, a.born-a.left, a.struck)
}
