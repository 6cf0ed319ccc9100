package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestOffsetsVouchForAllBefore(t *testing.T) {
	o := newOffsets()
	for _, offset := range []int64{5, 6, 9} { // 7 and 8 are no messages
		o.begin(0, offset)
	}
	steps := []struct {
		end  int64
		want map[int]int64
	}{
		{6, map[int]int64{}},
		{9, map[int]int64{}},
		{5, map[int]int64{0: 10}},
	}
	for _, step := range steps {
		o.end(0, step.end)
		if diff := cmp.Diff(step.want, o.take()); diff != "" {
			t.Errorf("after the end of %d (-want +got):\n%s", step.end, diff)
		}
	}
	if got := o.take(); len(got) != 0 {
		t.Errorf("taken twice: %v", got)
	}
	o.putBack(map[int]int64{0: 10})
	if diff := cmp.Diff(map[int]int64{0: 10}, o.take()); diff != "" {
		t.Errorf("after a failed commit (-want +got):\n%s", diff)
	}
}

// Whatever the order in which messages end, no offset is committed beyond one
// that has not, and all are committed when all have.
func TestOffsetsInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 40).Draw(t, "messages")
		order := rapid.Permutation(numbers(count)).Draw(t, "order of ends")
		o := newOffsets()
		for i := range count {
			o.begin(3, int64(i))
		}
		ended := map[int64]bool{}
		committed := int64(0)
		for _, offset := range order {
			o.end(3, offset)
			ended[offset] = true
			if got, ok := o.take()[3]; ok {
				if got <= committed {
					t.Fatalf("committed %d after %d", got, committed)
				}
				committed = got
			}
			for i := range committed {
				if !ended[i] {
					t.Fatalf("committed %d while %d is in hand", committed, i)
				}
			}
		}
		if committed != int64(count) {
			t.Fatalf("committed %d of %d", committed, count)
		}
	})
}

func numbers(n int) []int64 {
	var all []int64
	for i := range n {
		all = append(all, int64(i))
	}
	return all
}
