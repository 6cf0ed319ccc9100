package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

var shardKills = flag.Int("shard-kills", 2, "how many kills TestMovesAreCut and TestLeaderDiesInSeveralShards make each")

// TestLeaderDiesInSeveralShards kills the leader, and Terraform with it, at random
// instants of orders that change several shards. The next leader finishes each of
// them.
func TestLeaderDiesInSeveralShards(t *testing.T) {
	h := spreadHouse(t)
	random := h.random()
	h.pin(2)
	h.alone()
	at := h.spreads(2)
	ids := h.allIDs()
	for i := range *shardKills {
		n := 11
		if len(at) == 11 {
			n = 3
		}
		h.pin(n)
		h.killLeader(time.Duration(random.Int64N(int64(4 * time.Second))))
		h.alone()
		now := h.spreads(n)
		h.keep(at, now, ids)
		at, ids = now, h.allIDs()
		t.Logf("kill %d of %d: %d cells", i+1, *shardKills, n)
	}
	// Cut where several applies run side by side, each in a cell that isn't done.
	h.pin(11)
	h.spreads(11)
	h.pin(3)
	h.spreads(3)
	h.write("hold", "")
	h.pin(11)
	h.await("two applies run", func(context.Context) error {
		n := 0
		for _, p := range h.marked() {
			if filepath.Base(p.Command[0]) == "terraform" && strings.Contains(strings.Join(p.Command, " "), " apply ") {
				n++
			}
		}
		if n < 2 {
			return fmt.Errorf("%d run", n)
		}
		return nil
	})
	h.killLeader(0)
	h.remove("hold")
	h.alone()
	h.spreads(11)
}

// killLeader kills the leader after a while.
func (h *house) killLeader(after time.Duration) {
	h.t.Helper()
	pid := 0
	h.await("a living leader", func(ctx context.Context) error {
		holder, err := h.fleet.Leader(ctx, "pod")
		if err == nil {
			pid = holder.PID
			err = syscall.Kill(pid, 0) // one that was killed holds the lock for a while
		}
		return err
	})
	time.Sleep(after) // the instant is what is drawn
	h.kill(pid)
	h.await("the leader's end", func(context.Context) error {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return errors.New("it is still there")
		}
		return nil
	})
}

// random is a source of instants whose seed is printed.
func (h *house) random() *rand.Rand {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	h.t.Logf("seed=%d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// TestMovesAreCut has a service whose eleven cells are in one state spread, and then
// gathered, while its leader is killed at random instants. No cell is touched, lost or
// doubled.
func TestMovesAreCut(t *testing.T) {
	h := spreadHouse(t)
	random := h.random()
	h.rewrite("homeostat.hcl", func(s string) string { return strings.Replace(s, "shard_size = 3", "shard_size = 0", 1) })
	h.pin(11)
	h.alone()
	h.spreads(11)
	ids := h.allIDs()
	h.killLeader(0)
	h.rewrite("homeostat.hcl", func(s string) string { return strings.Replace(s, "shard_size = 0", "shard_size = 3", 1) })
	h.moves(random, "spread", ids)
	at := h.spreads(11)
	held := map[int]int{}
	for _, shard := range at {
		held[shard]++
	}
	if len(held) != 4 || held[0] != 3 || held[3] != 2 {
		t.Errorf("not spread evenly: %v", at)
	}
	if kept, _ := filepath.Glob(filepath.Join(h.module(), ".terraform", "homeostat", "moved", "*.tfstate")); len(kept) == 0 {
		t.Error("what the states were isn't kept")
	}

	h.killLeader(0)
	h.rewrite("homeostat.hcl", func(s string) string { return strings.Replace(s, "shard_size = 3", "shard_size = 0", 1) })
	h.moves(random, "gathered", ids)
	for name, shard := range h.spreads(11) {
		if shard != 0 {
			t.Errorf("%s is still in shard %d", name, shard)
		}
	}
	// The workspaces that were emptied read the variable file, too.
	if text := h.file("homeostat.auto.tfvars.json"); !strings.Contains(text, "null") {
		t.Errorf("the variable file names the cells in all workspaces: %s", text)
	}
	if out, code := h.homeostat("vars", "pod"); code == 0 || !strings.Contains(out, "would make each once more") {
		t.Errorf("vars: exit %d\n%s", code, out)
	}
	h.succeed("vars", "-shard", "0", "pod")
	// It grows on as if nothing had been.
	h.pin(12)
	h.spreads(12)
}

// moves wishes the cells moved, kills the leader in the middle of moves, and waits
// until all are moved.
func (h *house) moves(random *rand.Rand, what string, ids map[string]string) {
	h.t.Helper()
	h.must(h.fleet.WishSpread(h.t.Context(), "pod", fleet.SpreadWish{By: "test"}))
	cut := 0
	for i := range *shardKills {
		h.alone()
		over := false
		h.await("a move under way", func(ctx context.Context) error {
			wish, err := h.fleet.SpreadWished(ctx, "pod")
			over = err == nil && wish == nil
			note, err2 := h.fleet.Move(ctx, "pod")
			if err := errors.Join(err, err2); err != nil || note == nil && !over {
				return errors.Join(errors.New("there is none"), err)
			}
			return nil
		})
		after := time.Duration(0) // the first falls into the move that was seen
		if i > 0 {
			after = time.Duration(random.Int64N(int64(2 * time.Second)))
		}
		h.killLeader(after)
		note, err := h.fleet.Move(h.t.Context(), "pod")
		h.must(err)
		if note != nil {
			cut++
		}
		if over {
			break
		}
	}
	if h.t.Logf("%s: %d moves were cut", what, cut); cut == 0 {
		h.t.Errorf("no kill fell into a move")
	}
	h.alone()
	if out := h.succeed("spread", "pod"); !strings.Contains(out, "pod: done") && !strings.Contains(out, "0 cells to move") {
		h.t.Errorf("spread says:\n%s", out)
	}
	h.await("the wish stands", func(ctx context.Context) error {
		if wish, err := h.fleet.SpreadWished(ctx, "pod"); err != nil || wish != nil {
			return errors.Join(errors.New("it does"), err)
		}
		return nil
	})
	for name, id := range h.allIDs() {
		if ids[name] != id {
			h.t.Errorf("%s, being %s: its id was %s and is %s", name, what, ids[name], id)
		}
	}
	if n := len(h.allIDs()); n != len(ids) {
		h.t.Errorf("%d cells, were %d", n, len(ids))
	}
}
