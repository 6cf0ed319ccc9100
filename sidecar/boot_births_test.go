package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

var (
	boots    = flag.Int("boots", 4, "how many births TestBootsCut cuts")
	bootSeed = flag.Uint64("boot-seed", 0, "seed of TestBootsCut; 0 draws one")
)

// bootPatience is how long it may take until all agree again: a machine that never
// comes is waited for, given up, and another one made in its place.
const bootPatience = 12 * time.Minute

// TestBootsCut makes one fault in each of many births by a first boot, at an instant
// drawn uniformly over a birth, while a leader orders them. Judged from outside, each
// ends as exactly one cell or none: what the record, Consul and the state hold are
// the same cells, each on one machine of its own, and no other machine is on. Never
// do two machines take the same life of a cell for theirs.
func TestBootsCut(t *testing.T) {
	seed := *bootSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed=%d", seed)
	var all bootTally
	t.Cleanup(func() { t.Logf("%s seed=%d", all.line(), seed) })
	const yards = 2
	for k := range yards {
		share := (*boots + k) / yards
		t.Run(fmt.Sprintf("yard %d", k+1), func(t *testing.T) {
			h, y := newYardHouse(t, 4)
			// What is drawn doesn't depend on how the yards take turns.
			c := &bootCutter{house: h, yard: y, random: rand.New(rand.NewPCG(seed, uint64(k))), tally: &all}
			c.measure()
			for n := 0; n < share; {
				if c.birth() {
					n++
				}
			}
			c.destroyAll()
		})
	}
}

// bootCutter cuts births in one yard.
type bootCutter struct {
	*house
	yard   *yard
	random *rand.Rand
	tally  *bootTally
	span   time.Duration // from the pin to the agreement of a birth that isn't cut
	boot   time.Duration // from the machine to that
}

// bootFault is one that is drawn from. Those of programs strike at an instant of the
// whole order, those of machines at one since the machine is there.
type bootFault struct {
	program string
	machine func(c *bootCutter, m *testkit.Machine, last time.Duration) error
}

var bootFaults = map[string]bootFault{
	"leader killed":    {program: "leader"},
	"terraform killed": {program: "terraform"},
	"provider killed":  {program: "provider"},
	"machine gone":     {machine: func(c *bootCutter, m *testkit.Machine, _ time.Duration) error { return c.yard.loses(m) }},
	"power lost": {machine: func(_ *bootCutter, m *testkit.Machine, last time.Duration) error {
		return lasting(last, func(context.Context) error { return m.Kill() }, m.Start)
	}},
	"machine reboots": {machine: func(_ *bootCutter, m *testkit.Machine, _ time.Duration) error {
		return m.Reboot(context.Background())
	}},
	"network cut": {machine: func(_ *bootCutter, m *testkit.Machine, last time.Duration) error {
		return lasting(last, m.Cut, m.Mend)
	}},
	"disk full": {machine: func(_ *bootCutter, m *testkit.Machine, last time.Duration) error {
		return lasting(last/2, m.FillDisk, m.FreeDisk)
	}},
}

// measure has a cell born without a fault, and leave.
func (c *bootCutter) measure() {
	c.t.Helper()
	before := c.yard.all()
	began := time.Now()
	c.succeed("pin", "pod", "2")
	c.newMachine(before, nil)
	there := time.Now()
	c.agreeOn(2)
	c.span, c.boot = time.Since(began), time.Since(there)
	c.t.Logf("a birth takes %v, %v of it with its machine", c.span.Round(time.Millisecond), c.boot.Round(time.Millisecond))
	c.leave()
}

func (c *bootCutter) leave() {
	c.t.Helper()
	c.succeed("pin", "pod", "1")
	c.agreeOn(1)
}

// birth cuts one birth, and reports whether the fault met it.
func (c *bootCutter) birth() bool {
	c.t.Helper()
	name := slices.Sorted(maps.Keys(bootFaults))[c.random.IntN(len(bootFaults))]
	fault := bootFaults[name]
	instant, last := c.random.Float64(), time.Duration(c.random.Int64N(int64(30*time.Second)))
	before, ordered := c.yard.all(), c.fresh()
	began := time.Now()
	c.succeed("pin", "pod", "2")
	var err error
	if fault.program != "" {
		err = c.strikeProgram(fault.program, time.Duration(instant*float64(c.span)))
	} else if m := c.newMachine(before, c.done); m != nil {
		time.Sleep(time.Duration(instant * float64(c.boot))) // the instant is what is drawn
		err = fault.machine(c, m, last)
	} else {
		err = errors.New("it was over before")
	}
	struck := time.Since(began)
	c.agreeOn(2)
	lost := c.fresh() - ordered - 1
	if err != nil {
		c.t.Logf("%s did not meet a birth: %v", name, err)
	} else {
		c.t.Logf("%s, done after %v: all agree after %v, %d other names were given up", name, struck.Round(time.Millisecond), time.Since(began).Round(100*time.Millisecond), lost)
	}
	c.leave()
	if err == nil {
		c.tally.add(name, lost > 0)
	}
	return err == nil
}

// fresh is the number of the next name.
func (c *bootCutter) fresh() int {
	c.t.Helper()
	record, _, err := c.fleet.Record(c.t.Context(), "pod")
	c.must(err)
	return record.Next
}

// done reports whether the birth is over.
func (c *bootCutter) done() bool {
	k := kill{house: c.house, over: func(r fleet.Record) bool { return r.Count == 2 }}
	return k.done()
}

// strikeProgram kills one, once it is there.
func (c *bootCutter) strikeProgram(victim string, wait time.Duration) error {
	k := kill{house: c.house, victim: victim, wait: wait, over: func(r fleet.Record) bool { return r.Count == 2 }}
	k.strike()
	if k.pid == 0 {
		return errors.New(k.struck)
	}
	if victim == "leader" {
		c.alone() // as systemd does
	}
	return nil
}

// newMachine waits for a machine that wasn't there before; nil once the birth is
// over.
func (c *bootCutter) newMachine(before map[string]*testkit.Machine, over func() bool) (found *testkit.Machine) {
	c.t.Helper()
	c.await("another machine", func(context.Context) error {
		for id, m := range c.yard.all() {
			if before[id] == nil {
				found = m
				return nil
			}
		}
		if over != nil && over() {
			return nil
		}
		return errors.New("there is none")
	})
	return found
}

// agreeOn waits until all agree on n cells.
func (c *bootCutter) agreeOn(n int) {
	c.t.Helper()
	err := testkit.Poll(c.t.Context(), bootPatience, func(ctx context.Context) error { return c.agree(ctx, n) })
	if err != nil {
		c.t.Fatalf("after %v: %v\n%s", bootPatience, err, c.logsAlone())
	}
	if twice := c.yard.claimedTwice(); len(twice) > 0 {
		c.t.Errorf("claimed twice: %v", twice)
	}
}

// agree says in what they differ.
func (c *bootCutter) agree(ctx context.Context, n int) error {
	record, _, err := c.fleet.Record(ctx, "pod")
	if err != nil {
		return err
	}
	members, err := c.fleet.Members(ctx, "pod")
	if err != nil {
		return err
	}
	passing := map[string]string{} // addresses, by life
	var names []string
	for _, m := range members {
		if m.Health != fleet.Passing || len(m.Older) > 0 {
			return fmt.Errorf("%s is %s, its older lives %v: %s", m.ID(), m.Health, m.Older, m.Output)
		}
		names, passing[m.ID()] = append(names, m.Name), m.Address
	}
	state, held, err := c.stateMachines()
	if err != nil {
		return err
	}
	for _, list := range [][]string{names, state, record.Names} {
		slices.Sort(list)
		if len(list) != n || !slices.Equal(list, names) || len(record.Orders) > 0 {
			return fmt.Errorf("record %v, orders %+v, passing %v, state %v; want %d", record.Names, record.Orders, names, state, n)
		}
	}
	if on := c.yard.on(); !slices.Equal(on, held) {
		return fmt.Errorf("machines %v are on, and in the state are %v", on, held)
	}
	return c.agreeOnMachines(ctx, held, passing)
}

// agreeOnMachines says in what the machines differ from the cells that are passing.
func (c *bootCutter) agreeOnMachines(ctx context.Context, ids []string, passing map[string]string) error {
	machines := c.yard.all()
	for _, id := range ids {
		m := machines[id]
		claim := claimOf(m)
		if claim == nil || passing[claim.ID()] != m.Address() {
			return fmt.Errorf("machine %s at %s is %v, and passing are %v", id, m.Address(), claim, passing)
		}
		delete(passing, claim.ID())
		if err := clean(ctx, m); err != nil {
			return fmt.Errorf("machine %s: %w", id, err)
		}
	}
	return nil
}

// stateMachines reads the names of cells and the ids of machines from the state.
func (c *bootCutter) stateMachines() (cells, machines []string, err error) {
	if cells, err = c.stateCells(); err != nil {
		return nil, nil, err
	}
	var state struct {
		Resources []struct {
			Type      string
			Instances []struct {
				Attributes struct {
					ID string `json:"id"`
				} `json:"attributes"`
			} `json:"instances"`
		} `json:"resources"`
	}
	if err := json.Unmarshal([]byte(c.file("terraform.tfstate")), &state); err != nil {
		return nil, nil, err
	}
	for _, r := range state.Resources {
		for _, i := range r.Instances {
			if r.Type == "terraform_data" {
				machines = append(machines, i.Attributes.ID)
			}
		}
	}
	slices.Sort(machines)
	return cells, machines, nil
}

// destroyAll takes the service down, after which nothing is left.
func (c *bootCutter) destroyAll() {
	c.t.Helper()
	c.succeed("pause", "pod")
	if out, code := c.run(c.terraform, "destroy", "-no-color", "-auto-approve", "-lock-timeout=1m"); code != 0 {
		c.t.Fatalf("terraform destroy: exit %d\n%s", code, out)
	}
	for _, p := range c.marked() {
		if slices.Contains(p.Command, "-service") {
			c.must(syscall.Kill(p.PID, syscall.SIGTERM))
		}
	}
	c.await("nothing left", func(context.Context) error {
		if on := c.yard.on(); len(on) > 0 {
			return fmt.Errorf("machines %v", on)
		}
		if left := c.marked(); len(left) > 0 {
			return fmt.Errorf("processes %v", left)
		}
		client, err := c.consul.Client()
		if err != nil {
			return err
		}
		services, _, err := client.Catalog().Services(nil)
		if err != nil {
			return err
		}
		delete(services, "consul")
		for _, folder := range []string{"homeostat/boot.tickets/", "homeostat/boot.joins/"} {
			keys, _, err := client.KV().Keys(folder, "", nil)
			if err != nil {
				return err
			}
			if len(keys) > 0 {
				return fmt.Errorf("keys %v", keys)
			}
		}
		if len(services) > 0 {
			return fmt.Errorf("services %v", services)
		}
		return nil
	})
}

// bootTally counts what came of births.
type bootTally struct {
	mu          sync.Mutex
	struck      map[string]int
	born, other int
}

// add counts a birth that was cut and of which one cell came; other tells whether
// it came under another name.
func (a *bootTally) add(fault string, other bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.struck == nil {
		a.struck = map[string]int{}
	}
	a.struck[fault]++
	a.born++
	if other {
		a.other++
	}
}

func (a *bootTally) line() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("boots=%d born_once=%d of_which_under_another_name=%d struck=%v", a.born, a.born, a.other, a.struck)
}
