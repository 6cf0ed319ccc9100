package main

import "sync"

// offsets knows how far each partition is done. Messages are handled side by
// side and end in any order, but a committed offset vouches for all before it:
// so a partition is done up to its first message that is still in hand.
type offsets struct {
	mu         sync.Mutex
	partitions map[int]*progress
}

type progress struct {
	inHand  []int64 // begun and not committed, in order
	ended   map[int64]bool
	done    int64 // the offset to commit
	changed bool  // since it was last taken
}

func newOffsets() *offsets { return &offsets{partitions: map[int]*progress{}} }

// begin notes the next message of a partition, before anyone may handle it.
func (o *offsets) begin(partition int, offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.partitions[partition]
	if p == nil {
		p = &progress{ended: map[int64]bool{}}
		o.partitions[partition] = p
	}
	p.inHand = append(p.inHand, offset)
}

// end notes that a message is done with for good.
func (o *offsets) end(partition int, offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.partitions[partition]
	p.ended[offset] = true
	for len(p.inHand) > 0 && p.ended[p.inHand[0]] {
		p.done, p.changed = p.inHand[0]+1, true
		delete(p.ended, p.inHand[0])
		p.inHand = p.inHand[1:]
	}
}

// take returns the offset to commit of each partition that came further since
// the last take.
func (o *offsets) take() map[int]int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := map[int]int64{}
	for partition, p := range o.partitions {
		if p.changed {
			taken[partition], p.changed = p.done, false
		}
	}
	return taken
}

// putBack makes the next take return partitions whose commit has failed.
func (o *offsets) putBack(partitions map[int]int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for partition := range partitions {
		o.partitions[partition].changed = true
	}
}
