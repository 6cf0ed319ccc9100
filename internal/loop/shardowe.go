package loop

import (
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// When shards are looked at that a leader owes a look, in beats.
const (
	// restBeforeLook is for how long nothing may be ordered before that: the next order,
	// which is often near, would wait for it.
	restBeforeLook = 6
	// mostBeforeLook is how long that puts it off at most.
	mostBeforeLook = 60
	// lookEvery is after how long without any order the next shard in turn is looked at.
	lookEvery = 12
)

// payable are shards to be looked at next, as many as work side by side.
func (l *Leader) payable() []int {
	free := slices.DeleteFunc(slices.Clone(l.shards.owing), l.isStuck)
	return free[:min(len(free), max(1, l.Service.Terraform.ShardsAtOnce))]
}

// oweRead has the shards looked at that a preparation has read, where only Terraform's
// refresh knows who is dead; but not those that the one before had read, too, as one comes
// every two minutes while any can't be read.
func (s *shards) oweRead(l *Leader) {
	var all []int
	if l.Service.Members == policy.MembersState && l.record.Spread() {
		all = slices.Compact(slices.Sorted(slices.Values(l.record.Shards)))
	}
	before := s.read
	s.read = setOf(slices.DeleteFunc(slices.Clone(all), func(n int) bool { return s.stuck[n].unread }))
	s.owing = slices.DeleteFunc(all, func(n int) bool {
		return !s.read[n] || before[n] && !slices.Contains(s.owing, n)
	})
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
	l.shards.turn, l.shards.turned = shard+1, l.Now()
	if !slices.Contains(l.shards.owing, shard) {
		l.shards.owing = append(l.shards.owing, shard)
	}
}

// oweInTime has the next shard in turn looked at where nothing was ordered for a while.
func (l *Leader) oweInTime() {
	if l.Now().Sub(l.shards.turned) >= lookEvery*l.Service.Beat {
		l.oweNext()
		l.debt.due = l.debt.due || len(l.shards.owing) > 0
	}
}

// restAfterOrder is until when shards that are owed a look wait after an order.
func (l *Leader) restAfterOrder() time.Time {
	rest, most := l.Now().Add(restBeforeLook*l.Service.Beat), l.shards.owedSince.Add(mostBeforeLook*l.Service.Beat)
	if most.Before(rest) {
		return most
	}
	return rest
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
