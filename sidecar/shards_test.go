package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"golang.org/x/sys/unix"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// namedData are cells that are nothing but an entry in a state, by name. A cell
// named in "refused" can't be made.
const namedData = `
variable "desired_count" { type = number }
variable "cell_names" {
  type    = list(string)
  default = null
}
resource "terraform_data" "cell" {
  for_each = toset(var.cell_names)
  input    = each.key
  provisioner "local-exec" {
    command = "while test -e ../hold; do sleep 0.1; done; ! grep -qx ${each.key} ../refused"
  }
}
`

// spreadHouse is a service of at most three cells in a workspace, led without cells
// of its own.
func spreadHouse(t *testing.T) *house {
	t.Helper()
	h := faulty(t, houseOptions{Module: namedData, Max: 100, Policy: `
  members = "state"
  drain { timeout = "0s" }
  birth {
    backoff_min = "1s"
    backoff_max = "3s"
  }
`})
	h.write("refused", "")
	h.edit("homeostat.hcl", `lock_timeout = "2s"`, "lock_timeout = \"2s\"\n    shard_size = 3")
	return h
}

// spreads waits until there are n cells, and record and states agree on which is in
// which shard. It returns that.
func (h *house) spreads(n int) map[string]int {
	h.t.Helper()
	var at map[string]int
	h.await(fmt.Sprintf("%d cells, spread", n), func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err != nil {
			return err
		}
		if record.Count != n || len(record.Names) != n || len(record.Orders) > 0 {
			return fmt.Errorf("record: %d cells %v, orders %+v", record.Count, record.Names, record.Orders)
		}
		at = map[string]int{}
		for i, name := range record.Names {
			at[name] = 0
			if record.Spread() {
				at[name] = record.Shards[i]
			}
		}
		held, err := h.shardCells()
		if err != nil {
			return err
		}
		if !maps.Equal(at, held) {
			return fmt.Errorf("record %v, states %v", at, held)
		}
		return nil
	})
	return at
}

// shardCells reads from the state files which cell is in which shard.
func (h *house) shardCells() (map[string]int, error) {
	at := map[string]int{}
	paths, err := filepath.Glob(filepath.Join(h.module(), "terraform.tfstate.d", "shard-*", "terraform.tfstate"))
	if err != nil {
		return nil, err
	}
	for _, path := range append(paths, filepath.Join(h.module(), "terraform.tfstate")) {
		shard := 0
		_, _ = fmt.Sscanf(filepath.Base(filepath.Dir(path)), "shard-%d", &shard) // the first is of none
		ids, err := stateIDs(path)
		if err != nil {
			return nil, err
		}
		for name := range ids {
			if other, twice := at[name]; twice {
				return nil, fmt.Errorf("%s is in shard %d and in %d", name, other, shard)
			}
			at[name] = shard
		}
	}
	return at, nil
}

// stateIDs reads the cells of a state file, with the id of each: another id would be
// another cell under the same name.
func stateIDs(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || len(b) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var state struct {
		Resources []struct {
			Name      string
			Instances []struct {
				Key        string `json:"index_key"`
				Status     string
				Attributes struct{ ID string }
			}
		}
	}
	if err := json.Unmarshal(b, &state); err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, r := range state.Resources {
		for _, i := range r.Instances {
			if i.Status == "tainted" {
				return nil, fmt.Errorf("%s is half made", i.Key)
			}
			ids[i.Key] = i.Attributes.ID
		}
	}
	return ids, nil
}

// allIDs are the ids of the cells in all states.
func (h *house) allIDs() map[string]string {
	h.t.Helper()
	paths, err := filepath.Glob(filepath.Join(h.module(), "terraform.tfstate.d", "shard-*", "terraform.tfstate"))
	h.must(err)
	all := map[string]string{}
	for _, path := range append(paths, filepath.Join(h.module(), "terraform.tfstate")) {
		ids, err := stateIDs(path)
		h.must(err)
		maps.Copy(all, ids)
	}
	return all
}

// keep fails the test if a cell of before that is still there is another one, or in
// another shard.
func (h *house) keep(before, after map[string]int, ids map[string]string) {
	h.t.Helper()
	now := h.allIDs()
	for name, shard := range before {
		if at, there := after[name]; there && (at != shard || now[name] != ids[name]) {
			h.t.Errorf("%s was in shard %d and is in %d; its id was %s and is %s", name, shard, at, ids[name], now[name])
		}
	}
}

func (h *house) pin(n int) {
	h.t.Helper()
	h.succeed("pin", "pod", fmt.Sprint(n))
}

// TestSpread has a service grow over several shards, shrink and grow again: no cell
// moves, no shard holds too many, and gaps are filled.
func TestSpread(t *testing.T) {
	h := spreadHouse(t)
	h.edit("homeostat.hcl", "min  = 1", "min  = 0")
	h.pin(2)
	h.alone()
	at := h.spreads(2)
	ids := h.allIDs()
	for _, n := range []int{8, 4, 11, 3, 8, 0, 5} {
		h.pin(n)
		now := h.spreads(n)
		h.keep(at, now, ids)
		held := map[int]int{}
		for _, shard := range now {
			held[shard]++
		}
		for shard, cells := range held {
			if cells > 3 {
				t.Errorf("shard %d holds %d cells of %d: %v", shard, cells, n, now)
			}
		}
		at, ids = now, h.allIDs()
	}
	if text := h.file("homeostat.auto.tfvars.json"); !strings.Contains(text, "null") {
		t.Errorf("the variable file says the same in each workspace: %s", text)
	}
	h.reads("spread", "over")
	if out, code := h.homeostat("plan", "pod"); code != 0 {
		t.Errorf("plan: exit %d\n%s", code, out)
	}
}

// TestSpreadPartlyFails has one cell of an order refuse to be born. The other shards
// are applied all the same, and orders go on; the failed name is given up and a new
// one takes its place.
func TestSpreadPartlyFails(t *testing.T) {
	h := spreadHouse(t)
	h.pin(2)
	h.alone()
	h.spreads(2)
	h.write("refused", "pod-5\n")
	h.pin(9)
	at := h.spreads(9)
	if _, there := at["pod-5"]; there {
		t.Errorf("pod-5 can't be made: %v", at)
	}
	h.hears("order carried out in shards", "shards=3", "done=2")
	h.hears("the order was not carried out", "local-exec")
}

// TestShardIsLocked holds the lock of one shard's state, as a person does who works
// there. Cells come and go in the others meanwhile, and in that one afterwards. What
// was ordered there is kept until then, also where it is all of an order.
func TestShardIsLocked(t *testing.T) {
	h := spreadHouse(t)
	h.pin(6)
	h.alone()
	at := h.spreads(6)
	release := h.lockState(filepath.Join("terraform.tfstate.d", "shard-1", "terraform.tfstate"))
	h.pin(5) // the youngest goes: it is in shard 1
	h.hears("Terraform's state is locked")
	h.reads("shard 1 is tried again at")
	h.pin(4) // all of this order lies in shard 1, too
	h.await("the order for shard 1 stays in the record", func(ctx context.Context) error {
		record, _, err := h.fleet.Record(ctx, "pod")
		if err != nil {
			return err
		}
		if record.Count != 4 || len(record.Orders) != 1 || len(record.Orders[0].Remove) != 2 {
			return fmt.Errorf("%d cells, orders %+v", record.Count, record.Orders)
		}
		return nil
	})
	h.pin(8) // four more, in shard 2 and in another
	h.await("shard 2 grows while shard 1 is locked", func(context.Context) error {
		now, err := h.shardCells()
		if err != nil {
			return err
		}
		if n := len(slices.DeleteFunc(slices.Collect(maps.Keys(now)), func(name string) bool { return now[name] != 2 })); n == 0 {
			return fmt.Errorf("states %v, were %v", now, at)
		}
		return nil
	})
	record, _, err := h.fleet.Record(t.Context(), "pod")
	h.must(err)
	if len(record.Orders) != 1 || len(record.Orders[0].Remove) != 2 {
		t.Errorf("what is to be done in shard 1 is lost: %+v", record.Orders)
	}
	release()
	now := h.spreads(8)
	for _, name := range []string{"pod-5", "pod-6"} {
		if _, there := now[name]; there {
			t.Errorf("%s was to leave: %v", name, now)
		}
	}
}

// TestMoveToALockedShard has cells be moved into a shard whose state a person has locked.
// Nothing is moved, and the service goes on, until the lock is given back.
func TestMoveToALockedShard(t *testing.T) {
	h := spreadHouse(t)
	h.pin(7)
	h.alone()
	h.spreads(7)
	h.killLeader(0)
	h.rewrite("homeostat.hcl", func(s string) string { return strings.Replace(s, "shard_size = 3", "shard_size = 4", 1) })
	h.alone()
	at := h.spreads(7)
	release := h.lockState("terraform.tfstate")
	h.must(h.fleet.WishSpread(h.t.Context(), "pod", fleet.SpreadWish{By: "test"}))
	h.reads("cells can't be moved from shard 2 to shard 0")
	h.pin(8)
	h.await("a cell more", func(context.Context) error {
		now, err := h.shardCells()
		if err == nil && len(now) != 8 {
			err = fmt.Errorf("states %v, were %v", now, at)
		}
		return err
	})
	release()
	h.await("the wish stands", func(ctx context.Context) error {
		if wish, err := h.fleet.SpreadWished(ctx, "pod"); err != nil || wish != nil {
			return errors.Join(errors.New("it does"), err)
		}
		return nil
	})
	for name, shard := range h.spreads(8) {
		if shard > 1 {
			t.Errorf("%s is still in shard %d", name, shard)
		}
	}
}

// TestShardHangs has the plan of one shard hang. The other of the order doesn't wait for
// it, and what was ordered in that one is done when it hangs no more.
func TestShardHangs(t *testing.T) {
	h := spreadHouse(t)
	h.write("terraform", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = plan ] && [ \"${TF_DATA_DIR##*/}\" = shard-1 ] && [ -e '%s/hang' ] && exec sleep 600\nexec '%s' \"$@\"\n", h.dir, h.terraform))
	h.run("chmod", "+x", filepath.Join(h.dir, "terraform"))
	h.edit("homeostat.hcl", `lock_timeout = "2s"`, fmt.Sprintf("lock_timeout = \"2s\"\n    timeout      = \"1m\"\n    binary       = %q", filepath.Join(h.dir, "terraform")))
	h.pin(5)
	h.alone()
	at, ids := h.spreads(5), h.allIDs()
	h.write("hang", "")
	h.pin(8) // one more in shard 1, and two in shard 2
	h.await("shard 2 is made while shard 1 hangs", func(context.Context) error {
		now, err := h.shardCells()
		if err == nil && len(now) != 7 {
			err = fmt.Errorf("states %v", now)
		}
		return err
	})
	h.reads("shard 1 is tried again at", "took far longer")
	h.remove("hang")
	h.keep(at, h.spreads(8), ids)
}

// TestForeignChangeInAShard has somebody else's resource in one shard's way: the
// order is carried out without it, which is told of.
func TestForeignChangeInAShard(t *testing.T) {
	h := spreadHouse(t)
	h.pin(5)
	h.alone()
	h.spreads(5)
	h.edit("pod/main.tf", `variable "desired_count" { type = number }`, `variable "desired_count" { type = number }
resource "terraform_data" "other" {}
`)
	h.pin(6)
	h.spreads(6)
	h.hears("drift outside the cells, left alone", "terraform_data.other")
	if n := h.instances("other"); n != 0 {
		t.Errorf("the state holds %d of another's", n)
	}
}

// TestSpreadRecordSaysWhere has Consul lose the record of a service that is spread, and
// then has one come back of the time when all cells were in one state.
func TestSpreadRecordSaysWhere(t *testing.T) {
	h := spreadHouse(t)
	h.pin(7)
	h.alone()
	at := h.spreads(7)
	ids := h.allIDs()
	consul, err := api.NewClient(&api.Config{Address: h.consul.Addr()})
	h.must(err)
	// Consul loses its data: the record is made from the states of all workspaces.
	h.whilePaused("lost", func() {
		_, err = consul.KV().Delete("homeostat/pod/record", nil)
		h.must(err)
	})
	h.keep(at, h.spreads(7), ids)
	h.whilePaused("old", func() {
		record, _, err := h.fleet.Record(t.Context(), "pod")
		h.must(err)
		record.Format, record.Shards = 1, nil
		text, err := json.Marshal(record)
		h.must(err)
		_, err = consul.KV().Put(&api.KVPair{Key: "homeostat/pod/record", Value: text}, nil)
		h.must(err)
	})
	h.keep(at, h.spreads(7), ids)
}

// whilePaused does something while the service is paused.
func (h *house) whilePaused(by string, do func()) {
	h.t.Helper()
	h.must(h.fleet.Pause(h.t.Context(), "pod", fleet.Pause{By: by}))
	h.hears("this service is paused by " + by) // by the leader, or it would miss a pause this short
	do()
	h.must(h.fleet.Resume(h.t.Context(), "pod"))
}

// lockState holds the lock of a local state, as Terraform itself does. It returns
// what gives it back. The lock is the open file's: one that is the process's ends as
// soon as the test, reading the state, closes that file.
func (h *house) lockState(name string) (release func()) {
	h.t.Helper()
	f, err := os.OpenFile(filepath.Join(h.module(), name), os.O_RDWR, 0)
	h.must(err)
	h.must(unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLKW, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}))
	return func() { h.must(f.Close()) }
}
