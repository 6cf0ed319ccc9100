package loop

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// mostChanges is how many cells one order brings forth at most, and takes away: the
// record names each, and Consul takes no value of any size.
const mostChanges = 1000

// shards is what a leader knows of where the cells of a service are that is spread
// over several states. What is in the way of one shard holds up that one alone.
type shards struct {
	roots *act.Workspaces
	cant  string // why the service can't be spread, or nothing
	stuck map[int]stuckShard
	// untried are births that were never begun.
	untried map[string]untriedBirth
	// read are those whose states the last preparation has read; nil after a pause.
	read map[int]bool
	// owing are shards whose cells this leader hasn't looked for yet, or whose apply
	// failed, where nobody but Terraform's refresh knows who is dead.
	owing     []int
	owedSince time.Time // since when any is that, and none was looked at
	turn      int       // the lowest shard that is looked at next in turn
	turned    time.Time // when the turn went on
	// moveAgain is when a move of cells that failed is tried again, moveTrouble what
	// was in its way.
	moveAgain    time.Time
	moveTrouble  string
	moveFailures int
}

// stuckShard is one whose last plan or apply failed.
type stuckShard struct {
	failures int // in a row
	retry    time.Time
	why      string
	unread   bool // what its state holds could not be read, and is taken from the record
	locked   bool // by somebody else: that is why it failed
}

// ready takes over what a preparation found.
func (s *shards) ready(p *preparation, now time.Time) {
	s.roots, s.cant = p.shards, p.cant
	if s.stuck == nil {
		s.stuck = map[int]stuckShard{}
	}
	maps.DeleteFunc(s.stuck, func(n int, stuck stuckShard) bool { return stuck.unread && p.unread[n] == nil })
	for n, err := range p.unread {
		stuck := s.stuck[n]
		stuck.failures++
		wait := retryAfter(stuck.failures)
		if errors.Is(err, act.ErrTimeout) {
			wait = max(wait, hangPause*p.shards.Limit)
		}
		stuck.retry, stuck.why, stuck.unread = now.Add(wait), whyStuck(err), true
		s.stuck[n] = stuck
	}
}

// shardsOf are the shards of cells by what the states hold; nil where all are in
// shard 0.
func shardsOf(names []string, held map[string]heldCell) []int {
	out, beyond := make([]int, len(names)), false
	for i, name := range names {
		out[i] = held[name].Shard
		beyond = beyond || out[i] > 0
	}
	if !beyond {
		return nil
	}
	return out
}

// at returns the shard of each cell: that whose state holds it, else the record's.
func (l *Leader) at() map[string]int {
	at := make(map[string]int, len(l.record.Names))
	for i, shard := range l.record.Shards {
		at[l.record.Names[i]] = shard
	}
	for name, c := range l.held {
		at[name] = c.Shard
	}
	return at
}

// spread reports whether there are cells in another state than that of shard 0, or are to
// be. A record without cells doesn't say where those are that are still to be removed: they
// may be in a state that can't be read.
func (l *Leader) spread() bool {
	if l.record.Spread() || l.unread() {
		return true
	}
	for _, c := range l.held {
		if c.Shard > 0 {
			return true
		}
	}
	return false
}

// placed are the shards of the names that an order leaves, nil where the service
// isn't spread: its cells are, and will be, in one state. As long as there is one that
// can't be read, the record says that it is, or whoever reads it would not look there again.
func (l *Leader) placed(names []string) []int {
	at, size := l.at(), l.shardSize()
	if !l.spread() && (size == 0 || len(names) <= size) {
		return nil
	}
	stay := setOf(names)
	also := map[int]int{}
	beyond := l.unread()
	for name, c := range l.held {
		if !stay[name] {
			also[c.Shard]++
			beyond = beyond || c.Shard > 0
		}
	}
	out := spread.Place(names, at, also, size, l.isStuck)
	if !beyond && (len(out) == 0 || slices.Max(out) == 0) {
		return nil
	}
	return out
}

// shardSize is how many cells are placed in one state at most; 0 where new ones are all
// placed in shard 0.
func (l *Leader) shardSize() int {
	if l.shards.cant != "" {
		return 0
	}
	return l.Service.Terraform.ShardSize
}

// isStuck reports whether a shard waits for another try, or to be read.
func (l *Leader) isStuck(shard int) bool {
	stuck := l.shards.stuck[shard]
	return stuck.unread || l.Now().Before(stuck.retry)
}

// unread reports whether there is a shard of which it isn't known what its state holds.
func (l *Leader) unread() bool {
	for _, stuck := range l.shards.stuck {
		if stuck.unread {
			return true
		}
	}
	return false
}

// rereads reports whether it is time to read such a shard once more: all are, as in
// any preparation. Orders wait for that, decisions don't.
func (l *Leader) rereads() bool {
	for _, stuck := range l.shards.stuck {
		if stuck.unread && l.busy == "" && !l.Now().Before(stuck.retry) {
			return true
		}
	}
	return false
}

// tellSpread warns of an order that makes one state larger than it should be.
func (l *Leader) tellSpread(now fleet.Record) {
	if size := l.Service.Terraform.ShardSize; l.shards.cant != "" && size > 0 && now.Count > size {
		l.Log.Warn("all cells stay in one state, though there are more than shard_size: plans become slow", "cells", now.Count, "shard_size", size, "why", l.shards.cant)
	}
}

// movable leaves out of an order what is to be done in shards that wait for another
// try, and reports whether there is any.
func (l *Leader) movable(o guard.Order) (guard.Order, bool) {
	if !l.spread() || !slices.ContainsFunc(slices.Collect(maps.Keys(l.shards.stuck)), l.isStuck) {
		return o, false
	}
	// What is to go from a shard that can't be read is known to the record's order alone.
	waits := l.unread()
	at := l.at()
	free := func(keys []guard.Key) []guard.Key {
		return slices.DeleteFunc(slices.Clone(keys), func(k guard.Key) bool {
			stuck := l.isStuck(at[string(k)])
			waits = waits || stuck
			return stuck
		})
	}
	o.Add, o.Remove, o.Replace = free(o.Add), free(o.Remove), free(o.Replace)
	return o, waits
}

// toDo reports whether the record orders anything that could be done now.
func (l *Leader) toDo() bool {
	o, _ := l.movable(l.pending())
	return o.Size() > 0
}

// shardTrouble says what is in the way of which shards, in one line.
func (l *Leader) shardTrouble() string {
	var order, all []string
	alike := map[string][]string{} // as both are of a move that was cut
	for _, n := range slices.Sorted(maps.Keys(l.shards.stuck)) {
		if s := l.shards.stuck[n]; l.isStuck(n) {
			why := fmt.Sprintf("tried again at %s: %s", s.retry.Format(time.TimeOnly), s.why)
			if alike[why] == nil {
				order = append(order, why)
			}
			alike[why] = append(alike[why], strconv.Itoa(n))
		}
	}
	more := 0
	for i, why := range order {
		switch list := alike[why]; {
		case i >= 3:
			more += len(list)
		case len(list) == 1:
			all = append(all, fmt.Sprintf("shard %s is %s", list[0], why))
		default:
			all = append(all, fmt.Sprintf("shards %s are %s", strings.Join(list, ", "), why))
		}
	}
	if more > 0 {
		all = append(all, fmt.Sprintf("and %d more shards", more))
	}
	if l.shardSize() == 0 && l.isStuck(0) && l.spread() {
		all = append(all, "new cells are placed in shard 0 alone, and wait for it")
	}
	return strings.Join(all, "; ")
}

// emptied reports whether there are workspaces of shards, though a record has all cells in
// one state. As long as that can't be told it is as the record said before.
func (l *Leader) emptied(r fleet.Record) bool {
	if r.Spread() {
		return false
	}
	return l.shards.roots.Any() || l.record.Emptied && !l.shards.roots.Listed()
}

// writeVariables puts the variable file right: once a service is spread it can't say
// what is right in each workspace, and those that were emptied read it still.
func (l *Leader) writeVariables() (path string, changed bool, err error) {
	if l.record.Spread() || l.emptied(l.record) {
		return l.Root.ReleaseVariables()
	}
	return l.Root.WriteVariables(l.desired())
}

// Spread is how a service's cells are spread, for people.
func (s Status) Spread() string {
	if len(s.Shards) == 0 {
		return ""
	}
	held := map[int]int{}
	for _, n := range s.Shards {
		held[n]++
	}
	fullest := slices.MaxFunc(slices.Sorted(maps.Keys(held)), func(a, b int) int { return cmp.Compare(held[a], held[b]) })
	return fmt.Sprintf("over %d workspaces, at most %d cells in one", len(held), held[fullest])
}

func setOf[T comparable](list []T) map[T]bool {
	set := make(map[T]bool, len(list))
	for _, v := range list {
		set[v] = true
	}
	return set
}
