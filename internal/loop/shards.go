package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/act/spread"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// mostChanges is how many cells one order brings forth at most, and takes away: the
// record names each, and Consul takes no value of any size.
const mostChanges = 1000

// shards is what a leader knows of where the cells of a service are that is spread
// over several states. What is in the way of one shard holds up that one alone.
type shards struct {
	roots *shardRoots
	cant  string // why the service can't be spread, or nothing
	stuck map[int]stuckShard
	// owing are shards whose cells this leader hasn't looked for yet, or whose apply
	// failed, where nobody but Terraform's refresh knows who is dead.
	owing []int
	turn  int // the lowest shard that is looked at next in turn
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
}

// shardRoots are the root module in each of the workspaces.
type shardRoots struct {
	base  *act.Root
	share int           // how many are worked in side by side
	limit time.Duration // for opening one and reading its state, while the others wait

	mu     sync.Mutex
	opened map[int]*act.Root
	there  map[int]bool // nil until listed
}

// open returns the root module in the workspace of a shard, which is made where it
// isn't there.
func (s *shardRoots) open(ctx context.Context, shard int) (*act.Root, error) {
	if shard == 0 {
		return s.base, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if root := s.opened[shard]; root != nil {
		return root, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, act.ErrTimeout)
	defer cancel()
	if err := s.list(ctx); err != nil {
		return nil, err
	}
	there := s.there[shard]
	root, err := s.base.Shard(ctx, shard, there, s.share)
	if err != nil {
		return nil, err
	}
	if there && len(s.opened) == 0 {
		if err := root.Selects(ctx); err != nil {
			return nil, err
		}
	}
	if s.opened == nil {
		s.opened = map[int]*act.Root{}
	}
	s.opened[shard], s.there[shard] = root, true
	return root, nil
}

// list finds out once which workspaces there are. The caller holds the mutex.
func (s *shardRoots) list(ctx context.Context) error {
	if s.there != nil {
		return nil
	}
	all, err := s.base.Shards(ctx)
	if err != nil {
		return fmt.Errorf("list the workspaces: %w", err)
	}
	s.there = map[int]bool{}
	for _, n := range all {
		s.there[n] = true
	}
	return nil
}

// all lists the shards there are, without shard 0.
func (s *shardRoots) all(ctx context.Context) ([]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.list(ctx); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(s.there)), nil
}

// any reports whether there are workspaces besides the service's own.
func (s *shardRoots) any() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.there) > 0
}

// listed reports whether it is known which workspaces there are.
func (s *shardRoots) listed() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there != nil
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
			wait = max(wait, hangPause*p.shards.limit)
		}
		stuck.retry, stuck.why, stuck.unread = now.Add(wait), whyStuck(err), true
		s.stuck[n] = stuck
	}
}

// firstShard is the lowest that the record has cells in.
func firstShard(r fleet.Record) int {
	if !r.Spread() {
		return 0
	}
	return slices.Min(r.Shards)
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

// readShards reads what the states of all shards but the first hold.
func (l *Leader) readShards(ctx context.Context, p *preparation) error {
	all, err := p.shards.all(ctx)
	if err != nil {
		return err
	}
	if p.cant != "" && len(all) > 0 && p.record.Spread() {
		l.Log.Warn("the service is spread, but can't be by what its root module is now", "why", p.cant)
	}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(max(1, l.Service.Terraform.ShardsAtOnce))
	for _, shard := range all {
		g.Go(func() error {
			cells, err := l.readShard(ctx, p, shard)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				l.Log.Error("the state of a shard can't be read: its cells are taken from the record and left alone", "shard", shard, "error", err)
				p.miss(shard, err)
				return nil
			}
			return p.hold(shard, cells)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.believe()
}

// readShard reads which cells the state of a shard holds.
func (l *Leader) readShard(ctx context.Context, p *preparation, shard int) ([]act.Cell, error) {
	root, err := p.shards.open(ctx, shard)
	if err != nil {
		return nil, err
	}
	if err := l.mendState(root); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.shards.limit, act.ErrTimeout)
	defer cancel()
	cells, err := root.Cells(ctx, p.shape)
	if err != nil {
		return nil, fmt.Errorf("read which cells the state of shard %d holds: %w", shard, err)
	}
	return cells, nil
}

// findShards finds out whether there are workspaces of shards, though the record says that
// all cells are in one state. It may be an old one that was brought back: who isn't in
// that state is looked for in theirs, or would be born a second time. Where it can't be
// told whether there are any, the service is led as if there were none.
func (l *Leader) findShards(ctx context.Context, p *preparation) error {
	if _, err := p.shards.all(ctx); err != nil {
		l.Log.Warn("can't tell whether there are workspaces of shards", "error", err)
	}
	if !p.shards.any() {
		return nil
	}
	if err := l.readShards(ctx, p); err != nil {
		return err
	}
	p.record.Shards = shardsOf(p.record.Names, p.held)
	if p.amended = p.record.Spread(); p.amended {
		l.Log.Warn("the record says that all cells are in one state, and they are in several: put right", "spread", p.record.Shards)
	}
	return nil
}

// miss notes a shard whose state can't be read.
func (p *preparation) miss(shard int, err error) {
	if p.unread == nil {
		p.unread = map[int]error{}
	}
	p.unread[shard] = err
}

// believe takes from the record which cells the shards hold that can't be read. Whether
// those are there that an order makes isn't known: they are still to be made. All
// others are whole, as far as is known. A record that names no shards is believed where
// the states that could be read hold all cells, those that are to be removed included.
func (p *preparation) believe() error {
	if len(p.unread) == 0 {
		return nil
	}
	unborn, known := map[string]bool{}, slices.Clone(p.record.Names)
	for _, o := range p.record.Orders {
		maps.Copy(unborn, setOf(newbornNames(o.Add)))
		known = append(known, o.Remove...)
	}
	if !p.record.Spread() {
		lost := slices.ContainsFunc(known, func(name string) bool { _, held := p.held[name]; return !held && !unborn[name] })
		if lost || !p.found {
			return fmt.Errorf("find the cells that the record doesn't place: %w", errors.Join(slices.Collect(maps.Values(p.unread))...))
		}
		p.unread = nil // they were emptied
		return nil
	}
	for i, shard := range p.record.Shards {
		name := p.record.Names[i]
		if p.unread[shard] == nil || unborn[name] {
			continue
		}
		if err := p.hold(shard, []act.Cell{{Key: guard.Key(name)}}); err != nil {
			return err
		}
	}
	return nil
}

// hold notes the cells of a shard. A cell can't be in two states.
func (p *preparation) hold(shard int, cells []act.Cell) error {
	for _, c := range cells {
		name := string(c.Key)
		if other, twice := p.held[name]; twice {
			return fmt.Errorf("cell %s is in the states of shard %d and of shard %d: take it out of one with terraform state rm, in the workspace it doesn't belong to",
				name, min(shard, other.Shard), max(shard, other.Shard))
		}
		p.held[name] = heldCell{Tainted: !c.Whole(), Shard: shard}
	}
	return nil
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
// be. A record without cells doesn't say where those are that are still to be removed.
func (l *Leader) spread() bool {
	if l.record.Spread() {
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
// isn't spread: its cells are, and will be, in one state.
func (l *Leader) placed(names []string) []int {
	at, size := l.at(), l.Service.Terraform.ShardSize
	if l.shards.cant != "" {
		size = 0
	}
	if !l.spread() && (size == 0 || len(names) <= size) {
		return nil
	}
	stay := setOf(names)
	also := map[int]int{}
	beyond := false
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
// any preparation.
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

// payable are shards to be looked at next, as many as work side by side.
func (l *Leader) payable() []int {
	free := slices.DeleteFunc(slices.Clone(l.shards.owing), l.isStuck)
	return free[:min(len(free), max(1, l.Service.Terraform.ShardsAtOnce))]
}

// oweAll has all shards looked at, where only Terraform's refresh knows who is dead.
func (s *shards) oweAll(l *Leader) {
	s.owing = nil
	if l.Service.Members == policy.MembersState && l.record.Spread() {
		s.owing = slices.Compact(slices.Sorted(slices.Values(l.record.Shards)))
	}
}

// oweNext has the next shard in turn looked at after each order, whose plans show who
// is dead in those shards alone that it changes.
func (l *Leader) oweNext() {
	if l.Service.Members != policy.MembersState || !l.record.Spread() {
		return
	}
	all := slices.Compact(slices.Sorted(slices.Values(l.record.Shards)))
	i, _ := slices.BinarySearch(all, l.shards.turn)
	shard := all[i%len(all)]
	l.shards.turn = shard + 1
	if !slices.Contains(l.shards.owing, shard) {
		l.shards.owing = append(l.shards.owing, shard)
	}
}

// oweShardsOf has the shards of some cells looked at.
func (l *Leader) oweShardsOf(names []string) {
	if !l.record.Spread() {
		return
	}
	at := l.at()
	for _, name := range names {
		if shard := at[name]; !slices.Contains(l.shards.owing, shard) {
			l.shards.owing = append(l.shards.owing, shard)
		}
	}
}

// shardTrouble says what is in the way of which shards, in one line.
func (l *Leader) shardTrouble() string {
	var all []string
	for _, n := range slices.Sorted(maps.Keys(l.shards.stuck)) {
		if s := l.shards.stuck[n]; l.isStuck(n) {
			all = append(all, fmt.Sprintf("shard %d is tried again at %s: %s", n, s.retry.Format(time.TimeOnly), s.why))
		}
	}
	if len(all) > 3 {
		all = append(all[:3], fmt.Sprintf("and %d more shards", len(all)-3))
	}
	return strings.Join(all, "; ")
}

// emptied reports whether there are workspaces of shards, though a record has all cells in
// one state. As long as that can't be told it is as the record said before.
func (l *Leader) emptied(r fleet.Record) bool {
	if r.Spread() {
		return false
	}
	return l.shards.roots.any() || l.record.Emptied && !l.shards.roots.listed()
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

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, v := range list {
		set[v] = true
	}
	return set
}
