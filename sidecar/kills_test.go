package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

var (
	kills    = flag.Int("kills", 4, "how many kills TestKills makes")
	killSeed = flag.Uint64("kill-seed", 0, "seed of TestKills; 0 draws one")
)

// victims are what is killed in the middle of births and removals.
var victims = []string{"leader", "terraform", "provider", "newborn"}

// TestKills kills, at instants drawn uniformly over births and removals, the
// leader, Terraform, the provider or the newborn's sidecar. After each, what
// can be seen from outside must agree within 90 s: the record, the state's
// addresses, Consul's services and the marked processes in /proc.
func TestKills(t *testing.T) {
	h, random := killHouse(t, houseOptions{Policy: `drain { timeout = "0s" }`})
	h.killAll(*kills, h.orderTime(), func() kill {
		k := kill{house: h, victim: victims[random.IntN(len(victims))], before: h.processes(), cells: 3}
		if h.count() == 3 {
			k.cells = 5
		} else if k.victim == "newborn" {
			k.victim = victims[random.IntN(len(victims)-1)] // a removal has no newborn
		}
		k.over = func(r fleet.Record) bool { return r.Count == k.cells }
		h.succeed("pin", "pod", fmt.Sprint(k.cells))
		return k
	}, random)
}

// TestKillsOfReplacements does the same while a cell that holds data is made
// anew under its name, since all of it was killed.
func TestKillsOfReplacements(t *testing.T) {
	h, random := killHouse(t, houseOptions{Min: 3, Max: 3, Policy: `
  holds_data = true
  health {
    interval = "500ms"
    timeout  = "1s"
    ttl      = "3s"
  }
`})
	h.killAll((*kills+1)/2, 8*time.Second, func() kill {
		cells := h.everyLife()
		name := slices.Sorted(maps.Keys(cells))[random.IntN(len(cells))]
		k := kill{house: h, victim: victims[random.IntN(len(victims))], cells: 3}
		k.over = func(fleet.Record) bool { now := h.lives()[name]; return now != "" && now != cells[name] }
		h.killCell(name)
		k.before = h.processes()
		return k
	}, random)
}

// killHouse lays out a house of three cells, and draws the kills' seed.
func killHouse(t *testing.T, o houseOptions) (*house, *rand.Rand) {
	t.Helper()
	needServers(t)
	t.Parallel()
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed=%d", seed)
	o.Policy += `
  birth {
    backoff_min = "1s"
    backoff_max = "5s"
  }
`
	h := newHouse(t, o)
	h.apply()
	h.succeed("pin", "pod", "3")
	h.settled(3, time.Minute)
	return h, rand.New(rand.NewPCG(seed, seed))
}

// killAll makes n kills, each within span of what begins an order.
func (h *house) killAll(n int, span time.Duration, begin func() kill, random *rand.Rand) {
	h.t.Helper()
	struck := map[string]int{}
	for i := 0; i < n; {
		k := begin()
		k.wait = time.Duration(random.Int64N(int64(span)))
		k.strike()
		began := time.Now()
		h.settled(k.cells, 90*time.Second)
		if k.pid > 0 {
			i++
			struck[k.victim]++
		}
		h.t.Logf("kill %d of %d: %s after %s, to %d cells: %s; agreed after %s", i, n, k.victim,
			k.wait.Round(time.Millisecond), k.cells, k.struck, time.Since(began).Round(100*time.Millisecond))
	}
	h.t.Logf("kills=%d agreed=%d struck=%v", n, n, struck)
	if n >= 40 && len(struck) < len(victims) {
		h.t.Errorf("of %v only %v were ever struck", victims, struck)
	}
}

// orderTime measures how long an order for two cells takes, from pin to
// agreement: the span that the instants are drawn from.
func (h *house) orderTime() time.Duration {
	h.t.Helper()
	began := time.Now()
	h.succeed("pin", "pod", "5")
	h.settled(5, time.Minute)
	took := time.Since(began)
	h.succeed("pin", "pod", "3")
	h.settled(3, time.Minute)
	return took
}

func (h *house) count() int {
	h.t.Helper()
	record, _, err := h.fleet.Record(h.t.Context(), "pod")
	h.must(err)
	return record.Count
}

// kill is one kill.
type kill struct {
	house  *house
	victim string
	wait   time.Duration
	before []string // the cells there were
	cells  int      // how many there are to be
	// over reports whether the order has been carried out, by a record without
	// orders.
	over   func(fleet.Record) bool
	struck string // what became of it
	pid    int    // the process killed; 0 if the victim never was there
}

// strike waits for the instant, and then for the victim to be there, if it
// comes at all.
func (k *kill) strike() {
	time.Sleep(k.wait) // the instant is what is drawn
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if pid := k.find(); pid > 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
				k.pid, k.struck = pid, fmt.Sprintf("killed process %d", pid)
				return
			}
		}
		if k.done() {
			k.struck = "the order was done before"
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	k.struck = "never seen"
}

// done reports whether the order has been carried out already.
func (k *kill) done() bool {
	record, _, err := k.house.fleet.Record(k.house.t.Context(), "pod")
	return err == nil && len(record.Orders) == 0 && k.over(*record)
}

// awaited waits until the victim is there, and returns its process.
func (k *kill) awaited() (pid int) {
	k.house.t.Helper()
	k.house.await("no "+k.victim, func(context.Context) error {
		if pid = k.find(); pid == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	return pid
}

// find returns the victim's process, or 0.
func (k *kill) find() int {
	switch k.victim {
	case "leader":
		leader, err := k.house.fleet.Leader(k.house.t.Context(), "pod")
		if err != nil {
			return 0
		}
		return leader.PID
	case "newborn":
		for _, p := range k.house.sidecars() {
			if !slices.Contains(k.before, p.Cell) {
				return p.PID
			}
		}
		return 0
	default:
		return k.program()
	}
}

// program returns the process of Terraform, or of the provider below it.
func (k *kill) program() int {
	for _, p := range k.house.marked() {
		name := filepath.Base(p.Command[0])
		if k.victim == "terraform" && name == "terraform" || k.victim == "provider" && strings.HasPrefix(name, "terraform-provider-homeostat") {
			return p.PID
		}
	}
	return 0
}
