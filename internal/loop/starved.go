package loop

import (
	"context"
	"maps"
	"slices"
	"time"
)

// untriedBirth is one that was never begun: each time that it was tried the state of its
// shard was locked by somebody else.
type untriedBirth struct {
	placed time.Time // before the record had its name
	tries  int
	last   time.Time // the last of them
	locked time.Time // since when the lock is held that it met; zero where that isn't told
}

// When births are given up that wait for a lock.
const (
	giveUpAfter  = 3                // tries in vain
	giveUpTime   = 3 * time.Minute  // since they were ordered
	giveUpWithin = 30 * time.Second // of the last try: another may hold the lock later
	giveUpLocked = 2                // shards at most: where more are locked, the next would be, too
	// giveUpOlder is by how much a lock must be older than the births. It is dated by
	// another machine's clock, when it was asked for, and the record is read after that.
	// Five minutes is how far off Kerberos lets a clock be, and longer than people wait
	// for a lock.
	giveUpOlder = 5 * time.Minute
)

// starved are births that wait for a state's lock which somebody else has forgotten, say.
// Nothing can have been begun under their names: who held the lock a moment ago has held it
// since before the record had them. So others may take their place in another shard.
func (l *Leader) starved() (names []string) {
	locked := 0
	for shard, s := range l.shards.stuck {
		if s.locked && l.isStuck(shard) {
			locked++
		}
	}
	if locked == 0 || locked > giveUpLocked {
		return nil
	}
	if l.shardSize() == 0 && l.isStuck(0) {
		return nil // the others would wait in shard 0, too
	}
	at := l.at()
	for _, name := range l.record.Names {
		s := l.shards.stuck[at[name]]
		if l.shards.untried[name].starves(l.Now()) && !l.isHeld(name) && s.locked && !s.unread && l.isStuck(at[name]) {
			names = append(names, name)
		}
	}
	return names
}

// starves reports whether a birth is given up, so far as its own tries tell.
func (b untriedBirth) starves(now time.Time) bool {
	older := !b.locked.IsZero() && b.locked.Before(b.placed.Add(-giveUpOlder))
	return older && b.tries >= giveUpAfter && now.Sub(b.placed) >= giveUpTime && now.Sub(b.last) <= giveUpWithin
}

// noteGivenUp notes births that an order is about to take out of the record. It is kept
// before the record is: whoever leads next would take such a cell for a stranger.
func (l *Leader) noteGivenUp(ctx context.Context, names []string) {
	given := without(slices.Sorted(maps.Keys(l.shards.untried)), names, l.memory.GivenUp)
	if len(given) == 0 {
		return
	}
	l.memory.GivenUp = append(l.memory.GivenUp, given...)
	l.memory.GivenUp = l.memory.GivenUp[max(0, len(l.memory.GivenUp)-mostChanges):]
	l.saveMemory(ctx, true)
}

// noteUntried notes births that were just ordered, and forgets those that were given up
// for them.
func (l *Leader) noteUntried(born []string, placed time.Time) {
	for _, name := range without(slices.Collect(maps.Keys(l.shards.untried)), l.record.Names) {
		delete(l.shards.untried, name)
	}
	if !l.record.Spread() {
		return
	}
	if l.shards.untried == nil {
		l.shards.untried = map[string]untriedBirth{}
	}
	for _, name := range born {
		l.shards.untried[name] = untriedBirth{placed: placed}
	}
}

// noteTry notes what a try in a shard means for births that were never begun.
func (s *shards) noteTry(p *part) {
	lock := p.barred()
	for _, name := range p.desired.Names {
		b, untried := s.untried[name]
		switch {
		case !untried:
		case lock == nil:
			delete(s.untried, name)
		default:
			s.untried[name] = untriedBirth{b.placed, b.tries + 1, p.tried, lock.Created}
		}
	}
}

// readmit takes births into the record again that were given up, and that whoever held the
// lock has made after all: such a cell may take work by now, so it drains before it goes, as
// any other does. One that is half made, or ordered to go, goes at once.
func (l *Leader) readmit() {
	if len(l.memory.GivenUp) == 0 {
		return
	}
	made := intersect(l.memory.GivenUp, l.notIn(l.record.Names))
	for _, o := range l.record.Orders {
		made = without(made, o.Remove)
	}
	made = slices.DeleteFunc(made, func(name string) bool { return l.held[name].Tainted })
	if len(made) == 0 {
		return
	}
	names := slices.Concat(l.record.Names, made)
	l.record.Names, l.record.Count, l.record.Shards = names, len(names), l.placed(names)
	l.unwritten = true
	l.Log.Warn("births that were given up have been made by somebody else: they count again, and go as any other cell", "cells", made)
}
