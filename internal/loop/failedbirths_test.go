package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The birth of a cell fails while a file names its key, and leaves nothing in the state. That
// isn't known before the apply, since the time isn't.
const (
	refusing = `
  lifecycle {
    precondition {
      condition     = !fileexists(timestamp() == "" ? "" : "${path.module}/.terraform/refuse-%s")
      error_message = "no room"
    }
  }
}
`
	refusingNames = `
variable "desired_count" { type = number }
variable "cell_names" { type = list(string) }
resource "terraform_data" "cell" {
  for_each = toset(var.cell_names)`
	refusingCount = `
variable "desired_count" { type = number }
resource "terraform_data" "cell" {
  count = var.desired_count`
)

// TestFailedBirthsOutliveTheirLeader has a birth fail, nothing of it be in a state, and its
// leader die before it orders anything. Who leads next makes no other cell under that name,
// and where the name is an index, none without an order that names its life.
func TestFailedBirthsOutliveTheirLeader(t *testing.T) {
	t.Parallel()
	named, counted := refusingNames+fmt.Sprintf(refusing, "${each.key}"), refusingCount+fmt.Sprintf(refusing, "${count.index}")
	for name, c := range map[string]struct {
		module string
		at     map[string]int // the cells there are
		born   []string       // those that are ordered, of which the last fails
		want   []string       // those that there are in the end
	}{
		"in one state":      {named, map[string]int{"pod-1": 0}, []string{"pod-2", "pod-3"}, []string{"pod-1", "pod-2", "pod-4"}},
		"in several states": {named, map[string]int{"pod-1": 0, "pod-2": 0, "pod-3": 1}, []string{"pod-4", "pod-5"}, []string{"pod-1", "pod-2", "pod-3", "pod-4", "pod-6"}},
		"of an index":       {counted, map[string]int{"pod-0": 0}, []string{"pod-1", "pod-2"}, []string{"pod-0", "pod-1", "pod-2"}},
	} {
		for how, lead := range map[string]func(*testing.T, *Leader) *Leader{"by beats": leadOn, "by single beats": applyOften} {
			t.Run(name+", led "+how, func(t *testing.T) {
				t.Parallel()
				l := refusingLeader(t, c.module, c.at)
				l.Service.Min, l.Service.Max = len(c.want), len(c.want)
				failBirths(t, l, c.born, 1)
				if r := inConsul(t, l); len(r.Orders) > 0 || r.Count != len(c.want) {
					t.Fatalf("the record after the failure: %+v", r)
				}
				next := lead(t, successor(t, l))
				r := inConsul(t, next)
				if held := slices.Sorted(maps.Keys(next.held)); !slices.Equal(held, c.want) || r.Count != len(c.want) || len(r.Orders) > 0 {
					t.Errorf("the states hold %v, want %v; the record is %+v", held, c.want, r)
				}
				if n := testutil.ToFloat64(next.Metrics.births.WithLabelValues("pod", "born")); n != 2 {
					t.Errorf("%v births landed that were ordered, each as a life of its own", n)
				}
			})
		}
	}
}

// TestFailedBirthsThatKeepTheirNames has two births fail of cells that hold data, and the next
// order make one anew. Its apply makes both, as both names stay: none is made a second time.
func TestFailedBirthsThatKeepTheirNames(t *testing.T) {
	t.Parallel()
	l := refusingLeader(t, refusingNames+fmt.Sprintf(refusing, "${each.key}"), map[string]int{"pod-1": 0})
	l.Service.Terraform.ShardSize = 9
	l.Service.HoldsData, l.Service.Min, l.Service.Max = true, 4, 4
	failBirths(t, l, []string{"pod-2", "pod-3", "pod-4"}, 2)
	next := successor(t, l)
	o, err := next.Plan(t.Context())
	if err != nil || len(o.Changes) != 2 || len(o.Refused) > 0 {
		t.Fatalf("%v; the plan: %+v", err, o)
	}
	if err := next.lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	next = successor(t, l)
	next.Root = l.Root
	getReady(t, next)
	if err := next.place(t.Context(), step{Replace: []string{"pod-3"}, Names: next.roster().Names, Next: next.roster().Next}, "its birth failed"); err != nil {
		t.Fatal(err)
	}
	next.landed(t.Context(), <-next.results)
	if held := slices.Sorted(maps.Keys(next.held)); !slices.Equal(held, []string{"pod-1", "pod-2", "pod-3", "pod-4"}) {
		t.Fatalf("held are %v", held)
	}
	if r := inConsul(t, next); len(next.failed) > 0 || len(r.Failed) > 0 {
		t.Errorf("%v are still to be made anew, in the record %v", next.failed, r.Failed)
	}
}

// refusingLeader is a leader of such a module who holds the lock and is ready.
func refusingLeader(t *testing.T, module string, at map[string]int) *Leader {
	t.Helper()
	l := lockedLeader(t, at)
	l.Service.Terraform.ShardSize = 3
	l.Root = rootOf(t, testkit.Terraform(t), module)
	next, cells := l.record, map[int][]string{}
	next.Next = len(at) + 1
	for i, name := range next.Names {
		key := strconv.Quote(name)
		if !l.Root.Module().Named {
			key = strconv.Itoa(i)
		}
		cells[at[name]] = append(cells[at[name]], instance(key))
	}
	for shard, list := range cells {
		putState(t, l.Root.Module().Dir, shard, list)
	}
	if len(cells) == 1 {
		next.Shards = nil
	}
	if !l.Root.Module().Named {
		next.Names = nil
	}
	l.Service.Members, l.Service.Beat, l.Service.Terraform.Parallelism = policy.MembersState, 50*time.Millisecond, 10
	l.Sources.Vitals = func(context.Context, []sense.Sibling) []sense.Result { return nil }
	lives := 0
	l.Incarnation = func() string { lives++; return fmt.Sprintf("life-%d", lives) }
	keepInConsul(t, l, next)
	getReady(t, l)
	return l
}

// instance is a cell as a state holds it, by its key in JSON.
func instance(key string) string {
	return fmt.Sprintf(`{"index_key":%s,"schema_version":0,"attributes":{"id":%q}}`, key, key)
}

// failBirths has cells be ordered, and the last n of them not be born.
func failBirths(t *testing.T, l *Leader, born []string, n int) {
	t.Helper()
	r, unborn := l.roster(), born[len(born)-n:]
	dir := filepath.Join(l.Root.Module().Dir, ".terraform")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range unborn {
		refuse := filepath.Join(dir, "refuse-"+string(r.key(name)))
		if err := os.WriteFile(refuse, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(refuse)
	}
	if err := l.place(t.Context(), step{Add: born, Names: slices.Concat(r.Names, born), Next: r.Next + len(born)}, "more load"); err != nil {
		t.Fatal(err)
	}
	l.landed(t.Context(), <-l.results)
	if !slices.Equal(l.failed, unborn) || slices.ContainsFunc(unborn, l.isHeld) {
		t.Fatalf("failed are %v, held %v, in the way is %q", l.failed, l.held, l.trouble)
	}
}

// successor leads after a leader that was killed.
func successor(t *testing.T, l *Leader) *Leader {
	t.Helper()
	if err := l.lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	lease, err := l.Fleet.TryStand(t.Context(), "pod", fleet.Holder{Host: "here"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Release(context.WithoutCancel(t.Context())) })
	return NewLeader(l.LeaderConfig, lease)
}

// mostBeats are more than it takes to order and carry out what the tests here wish for.
const mostBeats = 10

// leadOn leads until all cells are there that there should be.
func leadOn(t *testing.T, l *Leader) *Leader {
	t.Helper()
	for range mostBeats {
		if err := l.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l.busy != "" {
			l.landed(t.Context(), <-l.results)
		}
		if l.prepared && len(l.held) == l.Service.Min && len(l.record.Orders) == 0 {
			break
		}
	}
	return l
}

// applyOften has one leader after the other do a single beat.
func applyOften(t *testing.T, l *Leader) *Leader {
	t.Helper()
	for range mostBeats {
		if _, err := l.Apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(l.held) == l.Service.Min && len(l.record.Orders) == 0 {
			break
		}
		l = successor(t, l)
	}
	return l
}

// TestRecordTellsWhoFailed has a leader get ready by a record that tells of a failed birth,
// as the next one does, and the same one after a pause.
func TestRecordTellsWhoFailed(t *testing.T) {
	pod := fleet.Order{ID: "1", Add: []fleet.Newborn{{Name: "pod-3", Incarnation: "one"}}}
	for name, c := range map[string]struct {
		held   []heldCell // what a state holds of it
		orders []fleet.Order
		unread bool // its shard
		failed []string
	}{
		"no state holds anything of it":      {failed: []string{"pod-3"}},
		"it is half made":                    {held: []heldCell{{Shard: 1, Tainted: true}}, failed: []string{"pod-3"}},
		"a person has made it":               {held: []heldCell{{Shard: 1}}},
		"it is ordered anew":                 {orders: []fleet.Order{pod}},
		"what its shard holds can't be read": {unread: true, failed: []string{"pod-3"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := lockedLeader(t, map[string]int{"pod-1": 0, "pod-2": 1, "pod-3": 1})
			next := l.record
			next.Orders, l.failed = c.orders, []string{"pod-3"}
			if err := l.putRecord(t.Context(), next); err != nil {
				t.Fatal(err)
			}
			l.forget()
			p := &preparation{record: *inConsul(t, l), index: l.index, found: true, root: l.Root, shards: l.shards.roots, held: map[string]heldCell{"pod-1": {}}}
			switch {
			case c.unread:
				p.miss(1, errors.New("no route"))
			case len(c.held) > 0:
				p.held["pod-3"] = c.held[0]
				fallthrough
			default:
				p.held["pod-2"] = heldCell{Shard: 1}
			}
			if err := p.believe(); err != nil {
				t.Fatal(err)
			}
			l.takeOver(result{what: preparing, prepared: p})
			if err := l.keepRecord(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r := inConsul(t, l); !slices.Equal(l.failed, c.failed) || !slices.Equal(r.Failed, c.failed) || !l.isHeld("pod-2") {
				t.Errorf("failed are %v, in the record %v; held %v", l.failed, r.Failed, l.held)
			}
			// It may have been made since where nobody can look, so it isn't given up yet.
			if given := l.failedForSure(); len(given) > 0 != (len(c.failed) > 0 && !c.unread) || l.revises() != (len(given) > 0) {
				t.Errorf("%v are given up", given)
			}
		})
	}
}

// TestFailedBirthIsHeard has a cell be heard that no state holds: it is a reason to doubt the
// state, unless its birth is known to have failed.
func TestFailedBirthIsHeard(t *testing.T) {
	l := lockedLeader(t, map[string]int{"pod-1": 0})
	l.Service.Name = "heard"
	cell := fleet.Cell{Service: "heard", Name: "pod-2", Incarnation: "one", Address: "127.0.0.1", Port: 1, TTL: time.Minute}
	if err := errors.Join(l.Fleet.Register(t.Context(), cell), l.Fleet.Push(t.Context(), cell, fleet.Passing, "fine")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Fleet.Deregister(context.WithoutCancel(t.Context()), cell.ID()) })
	p := &preparation{record: l.record, root: l.Root, held: l.held}
	p.record.Names = []string{"pod-1", "pod-2"}
	if err := l.rightState(t.Context(), p); err == nil {
		t.Error("a state that doesn't hold a passing cell is taken for the right one")
	}
	p.record.Failed = []string{"pod-2"}
	if err := l.rightState(t.Context(), p); err != nil {
		t.Error(err)
	}
}
