package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
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
	needServers(t)
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	h := newHouse(t, houseOptions{Policy: `
  drain { timeout = "0s" }
  birth {
    backoff_min = "1s"
    backoff_max = "5s"
  }
`})
	h.apply()
	h.settled(1, time.Minute)
	h.succeed("pin", "pod", "3")
	h.settled(3, time.Minute)

	span := h.orderTime()
	struck := map[string]int{}
	for i := 0; i < *kills; {
		want := 3
		if h.count() == 3 {
			want = 5
		}
		k := kill{house: h, victim: victims[random.IntN(len(victims))], before: h.processes()}
		if want == 3 && k.victim == "newborn" {
			k.victim = victims[random.IntN(len(victims)-1)] // a removal has no newborn
		}
		k.wait = time.Duration(random.Int64N(int64(span)))
		h.succeed("pin", "pod", fmt.Sprint(want))
		k.strike()
		began := time.Now()
		h.settled(want, 90*time.Second)
		if k.pid > 0 {
			i++
			struck[k.victim]++
		}
		t.Logf("kill %d of %d: %s after %s, to %d cells: %s; agreed after %s", i, *kills, k.victim,
			k.wait.Round(time.Millisecond), want, k.struck, time.Since(began).Round(100*time.Millisecond))
	}
	t.Logf("kills=%d agreed=%d seed=%d struck=%v", *kills, *kills, seed, struck)
	if *kills >= 40 && len(struck) < len(victims) {
		t.Errorf("of %v only %v were ever struck", victims, struck)
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
	struck string   // what became of it
	pid    int      // the process killed; 0 if the victim never was there
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
	return err == nil && len(record.Orders) == 0 && record.Count != len(k.before)
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
