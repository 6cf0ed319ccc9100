package front

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

// Whoever asks for lists and goes nowhere has no cell pass for full, nor its report for
// used up.
func TestListsLeaveChoosingAlone(t *testing.T) {
	c, rng, now := among(fleet.Passing, fleet.Passing, fleet.Passing), chance(), epoch.Add(100*time.Millisecond)
	for _, id := range []string{"a", "b", "c"} {
		c.Learn(epoch, id, load.Report{Limit: 20, Latency: 10 * time.Millisecond})
	}
	firsts := map[string]int{}
	for range 300 {
		firsts[c.Rank(now, rng, 20)[0].ID]++
	}
	for _, id := range []string{"a", "b", "c"} {
		if !c.Keeps(now, id) || !c.known(c.cells[id], now) {
			t.Errorf("%s's clients leave it, or its report counts no more, for lists alone", id)
		}
		if firsts[id] < 80 || firsts[id] > 120 {
			t.Errorf("%s is first in %d of 300 lists, and all three are alike", id, firsts[id])
		}
	}
	if _, ok := c.WithRoom(now, rng, false, ""); !ok {
		t.Error("nobody has room any more, for lists alone")
	}
}

// Lists have each cell once, the better the further in front, newcomers seldom first.
func TestRankOfMany(t *testing.T) {
	members := allMembers(100)
	members[3].Born = epoch
	c, rng := NewChooser(rule()), chance()
	c.SetMembers(epoch, members)
	for i := range 100 {
		c.Learn(epoch, fmt.Sprint(i), load.Report{Limit: 1000, InFlight: i, Latency: 10 * time.Millisecond})
	}
	newcomer, sum, upper := 0, 0, 0
	for range 200 {
		var ids []string
		for i, s := range c.Rank(epoch.Add(time.Second), rng, 100) {
			ids = append(ids, s.ID)
			if i < 10 {
				n := 0
				_, _ = fmt.Sscan(s.ID, &n)
				sum, upper = sum+n, upper+1
			}
		}
		if len(ids) != 100 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 100 {
			t.Fatalf("%d cells in a list of a hundred: %v", len(ids), ids)
		}
		if ids[0] == "3" {
			newcomer++
		}
	}
	if mean := float64(sum) / float64(upper); mean > 25 {
		t.Errorf("the first ten have %.0f in flight at the mean, and all 50", mean)
	}
	if newcomer > 2 {
		t.Errorf("a newcomer is first in %d of 200 lists", newcomer)
	}
}

// However many ask, a list is made ten times a second, and not all of them get the same
// first cell.
func TestListsAreRankedSeldom(t *testing.T) {
	now := epoch
	cells := NewCells(CellsConfig{Service: "api", Rule: rule(), Now: func() time.Time { return now }})
	cells.chooser.SetMembers(epoch, allMembers(1000))
	for i := range 1000 {
		id := fmt.Sprint(i)
		cells.members[id] = fleet.Member{Cell: fleet.Cell{Name: id}}
	}
	rankings, firsts := 0, map[string]int{}
	for range 1000 { // over ten seconds
		before := cells.ranked[0].at
		l := cells.list(listMost)
		if firsts[l.Cells[0].Cell]++; cells.ranked[0].at != before {
			rankings++
		}
		if n := len(cells.list(listLimit).Cells); n != listLimit {
			t.Fatalf("%d cells in the longest list", n)
		}
		if n := len(cells.list(3).Cells); n != 3 {
			t.Fatalf("%d cells in a list of three", n)
		}
		now = now.Add(10 * time.Millisecond)
	}
	if rankings < 90 || rankings > 101 {
		t.Errorf("cells were ranked %d times in ten seconds", rankings)
	}
	if len(firsts) < 300 {
		t.Errorf("%d cells were the first of a thousand lists, and all are alike", len(firsts))
	}
}

func BenchmarkRank(b *testing.B) {
	for _, most := range []int{listMost, listLimit} {
		b.Run(fmt.Sprint(most), func(b *testing.B) {
			c, rng := fullHouse(), chance()
			for b.Loop() {
				c.Rank(epoch.Add(time.Second), rng, most)
			}
		})
	}
}
