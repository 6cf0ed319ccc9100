package front

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

// fullHouse is a thousand cells that all say they have no room.
func fullHouse() *Chooser {
	c := NewChooser(rule())
	c.SetMembers(epoch, allMembers(1000))
	for i := range 1000 {
		c.Learn(epoch, fmt.Sprint(i), load.Report{InFlight: 20, Limit: 20, Hot: true, Latency: time.Second})
	}
	return c
}

// Where nobody has room all cells are looked at a few times a second, however many
// clients ask.
func TestNobodyHasRoom(t *testing.T) {
	c, rng := fullHouse(), chance()
	for i := range 10000 { // over a second
		if id, ok := c.WithRoom(epoch.Add(time.Duration(i)*100*time.Microsecond), rng, i%2 == 0, "1"); ok {
			t.Fatalf("%s is said to have room", id)
		}
	}
	if n := c.roomForClients.walks + c.roomForCrawlers.walks; n > 42 {
		t.Errorf("all cells were looked at %d times in a second", n)
	}
}

// Who tells of room is found at once, though nobody had any a moment ago, and is left
// alone as soon as it is full, unwell or gone.
func TestRoomIsFoundAtOnce(t *testing.T) {
	c, rng := fullHouse(), chance()
	c.WithRoom(epoch, rng, false, "1")
	// Three hundred siblings hold a report of it at a time: its room is for each of them.
	c.Learn(epoch, "7", load.Report{InFlight: 1000, Limit: 4000, Latency: time.Second})
	for range 9 {
		if id, ok := c.WithRoom(epoch, rng, false, "1"); !ok || id != "7" {
			t.Fatalf("got %q, want 7, which has just told of room", id)
		}
		c.Handed("7")
	}
	for range 3 {
		if _, ok := c.WithRoom(epoch, rng, false, "1"); ok {
			c.Handed("7")
		}
	}
	if id, ok := c.WithRoom(epoch, rng, false, "1"); ok {
		t.Errorf("%s was given more than its part", id)
	}
	if _, ok := c.WithRoom(epoch.Add(time.Second), rng, false, "1"); !ok {
		t.Error("it gets none any more, though the first must have been answered")
	}
	c.Learn(epoch, "7", load.Report{Limit: 4000})
	if _, ok := c.WithRoom(epoch, rng, false, "7"); ok {
		t.Error("who asks is sent to itself")
	}
	if _, ok := c.WithRoom(epoch, rng, true, "1"); ok {
		t.Error("a crawler is sent to a cell that takes none")
	}
	members := allMembers(1000)
	members[7].Health = fleet.Warning
	c.SetMembers(epoch, members)
	if id, ok := c.WithRoom(epoch, rng, false, "1"); ok {
		t.Errorf("%s is said to have room, and 7 is warned", id)
	}
}

// All that have room get their part of those who ask.
func TestRoomIsShared(t *testing.T) {
	c, rng := fullHouse(), rand.New(rand.NewPCG(3, 4))
	for i := range 100 {
		c.Learn(epoch, fmt.Sprint(i), load.Report{Limit: 20, Latency: time.Second})
	}
	counts, named := map[string]int{}, 0
	for i := range 200 { // over two seconds
		now := epoch.Add(time.Duration(i) * 10 * time.Millisecond)
		if id, ok := c.WithRoom(now, rng, false, "1000"); ok {
			c.Handed(id)
			counts[id]++
			named++
		}
	}
	for id, n := range counts {
		if n > 3 {
			t.Errorf("%s was named %d times of %d, and a hundred have room", id, n, named)
		}
	}
	// Three hundred askers may fill two thousand places of whose clients stay a second.
	if named < 10 || named > 40 {
		t.Errorf("%d clients were sent on by one", named)
	}
}

func BenchmarkWithRoomWhereNobodyHas(b *testing.B) {
	c, rng, i := fullHouse(), chance(), 0
	for b.Loop() {
		i++
		c.WithRoom(epoch.Add(time.Duration(i)*100*time.Microsecond), rng, true, "1") // ten thousand ask a second
	}
}
