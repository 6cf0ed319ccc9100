package loop

import (
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

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
