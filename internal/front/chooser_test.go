package front

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

func chance() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// among makes a chooser of grown cells a, b and so on, by their health.
func among(health ...fleet.Health) *Chooser {
	c := NewChooser(rule())
	c.SetMembers(epoch, cellsOf(health...))
	return c
}

func cellsOf(health ...fleet.Health) []Member {
	var members []Member
	for i, h := range health {
		members = append(members, Member{ID: string(rune('a' + i)), Health: h, Born: epoch.Add(-time.Hour)})
	}
	return members
}

// chosen counts whom a thousand choices fall on, none of which is sent.
func chosen(c *Chooser, now time.Time, not ...string) map[string]int {
	rng, counts := chance(), map[string]int{}
	for range 1000 {
		id, _ := c.Choose(now, rng, not...)
		counts[id]++
	}
	return counts
}

// only fails unless all choices fell on these, each at least once.
func only(t *testing.T, counts map[string]int, want ...string) {
	t.Helper()
	for _, id := range want {
		if counts[id] == 0 {
			t.Errorf("%s was never chosen: %v", id, counts)
		}
	}
	for id := range counts {
		if !slices.Contains(want, id) {
			t.Errorf("%q was chosen: %v", id, counts)
		}
	}
}

func TestHealth(t *testing.T) {
	c := among(fleet.Passing, fleet.Warning, fleet.Critical, fleet.Passing)
	only(t, chosen(c, epoch), "a", "d")
	only(t, chosen(c, epoch, "a"), "d")
	only(t, chosen(c, epoch, "a", "d"), "b") // A warned cell is better than none.
	only(t, chosen(c, epoch, "a", "b", "d"), "")
	if _, ok := among(fleet.Critical).Choose(epoch, chance()); ok {
		t.Error("a cell that says it is unwell was chosen")
	}
}

func TestPanic(t *testing.T) {
	members := cellsOf(fleet.Passing, fleet.Critical, fleet.Critical, fleet.Critical)
	members[1].Silent, members[2].Silent = true, true
	c := NewChooser(rule())
	c.SetMembers(epoch, members)
	if !c.Panicking(epoch) {
		t.Fatal("one of four healthy is no panic")
	}
	only(t, chosen(c, epoch), "a")
	only(t, chosen(c, epoch, "a"), "b", "c")
	members[1].Health = fleet.Passing
	c.SetMembers(epoch, members)
	only(t, chosen(c, epoch, "a", "b"), "")
}

func TestEjection(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing, fleet.Passing)
	fail := func(now time.Time) (ejected bool) {
		for range rule().EjectAfter {
			ejected = c.Failed(now, "b") || ejected
		}
		return ejected
	}
	now := epoch
	for _, pause := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
		if !fail(now) {
			t.Fatal("a cell that fails is not left alone")
		}
		only(t, chosen(c, now.Add(pause-time.Millisecond)), "a", "c")
		only(t, chosen(c, now.Add(pause)), "a", "b", "c")
		now = now.Add(pause)
	}
	now = now.Add(rule().EjectMax + time.Second)
	fail(now)
	only(t, chosen(c, now.Add(5*time.Second)), "a", "b", "c")
	c.Failed(now, "a")
	c.Answered(now, "a", time.Millisecond)
	for range rule().EjectAfter - 1 {
		if c.Failed(now, "a") {
			t.Error("failures with an answer between them are not in a row")
		}
	}
}

// When most are left alone the rest would be pressed to death, so they are tried.
func TestEjectedInPanic(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing, fleet.Passing)
	for _, id := range []string{"a", "b"} {
		for range rule().EjectAfter {
			c.Failed(epoch, id)
		}
	}
	only(t, chosen(c, epoch), "a", "b", "c")
}

func TestColdThenHot(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing, fleet.Passing)
	report := func(id string, flight int, latency time.Duration) {
		c.Learn(epoch, id, load.Report{InFlight: flight, Limit: 100, Latency: latency})
	}
	report("a", 3, 500*time.Millisecond)
	report("b", 3, 10*time.Millisecond)
	report("c", 3, 15*time.Millisecond)
	only(t, chosen(c, epoch), "b", "c") // Alike within the tolerance.
	for range 5 {
		c.Began(epoch, "b")
	}
	counts := chosen(c, epoch)
	if counts["c"] < 900 {
		t.Errorf("b is hot now, and c takes the clients before a, which is slow: %v", counts)
	}
	c.Learn(epoch, "c", load.Report{InFlight: 3, Limit: 100, Hot: true, Latency: 15 * time.Millisecond})
	c.Learn(epoch, "b", load.Report{InFlight: 3, Limit: 3})
	only(t, chosen(c, epoch), "a")
	only(t, chosen(c, epoch.Add(rule().ReportAge+time.Second)), "a", "c") // Reports age, own counts don't.
}

func TestReportsServeSoOften(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing)
	c.Learn(epoch, "a", load.Report{Limit: 1, Hot: true})
	only(t, chosen(c, epoch), "b")
	for range rule().ReportUses + 1 {
		c.Began(epoch, "a")
		c.Ended(epoch, "a")
	}
	only(t, chosen(c, epoch), "a", "b")
}

func TestSlowStart(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing, fleet.Passing, fleet.Passing)
	c.rule.Choices = 1
	members := append(cellsOf(fleet.Passing, fleet.Passing, fleet.Passing, fleet.Passing), Member{ID: "new", Health: fleet.Critical, Born: epoch})
	c.SetMembers(epoch, members)
	members[4].Health = fleet.Passing
	now := epoch.Add(time.Minute) // so long it was being born
	c.SetMembers(now, members)
	for age, most := range map[time.Duration][2]int{0: {5, 45}, 15 * time.Second: {70, 150}, 30 * time.Second: {150, 250}} {
		if n := chosen(c, now.Add(age))["new"]; n < most[0] || n > most[1] {
			t.Errorf("at the age of %v the newcomer got %d of 1000, want %v", age, n, most)
		}
	}
	alone := NewChooser(rule())
	alone.SetMembers(epoch, members[4:])
	alone.SetMembers(epoch, []Member{{ID: "new", Health: fleet.Passing, Born: epoch}})
	only(t, chosen(alone, epoch), "new")
}

func TestKeeps(t *testing.T) {
	c := among(fleet.Passing, fleet.Warning, fleet.Critical, fleet.Passing)
	for id, want := range map[string]bool{"a": true, "b": false, "c": false, "d": true, "gone": false} {
		if got := c.Keeps(epoch, id); got != want {
			t.Errorf("%s keeps its clients: %t, want %t", id, got, want)
		}
	}
	c.Learn(epoch, "a", load.Report{InFlight: 1, Limit: 10, Hot: true})
	if c.Keeps(epoch, "a") {
		t.Error("a hot cell keeps its clients")
	}
	chosen(c, epoch)
	for range 40 {
		c.Began(epoch, "d")
	}
	if c.Keeps(epoch, "d") {
		t.Error("a cell with forty times what others have keeps its clients")
	}
}

func TestHomesMoveLittle(t *testing.T) {
	var members []Member
	for i := range 20 {
		members = append(members, Member{ID: fmt.Sprintf("api-%d", i), Health: fleet.Passing})
	}
	c := NewChooser(rule())
	c.SetMembers(epoch, members)
	before, counts := map[uint64]string{}, map[string]int{}
	for client := range uint64(2000) {
		before[client], _ = c.Home(hashOf(fmt.Sprint(client)))
		counts[before[client]]++
	}
	for id, n := range counts {
		if n < 60 || n > 140 {
			t.Errorf("%s is home to %d of 2000 clients, of 20 cells", id, n)
		}
	}
	c.SetMembers(epoch, members[1:])
	for client, old := range before {
		if now, _ := c.Home(hashOf(fmt.Sprint(client))); old != "api-0" && now != old {
			t.Fatalf("client %d moved from %s to %s though its cell is there", client, old, now)
		}
	}
}

func TestWithRoom(t *testing.T) {
	c := among(fleet.Passing, fleet.Passing, fleet.Passing, fleet.Warning)
	rng := chance()
	if id, ok := c.WithRoom(epoch, rng, false, "a"); ok {
		t.Errorf("%s has room though nobody has told of any", id)
	}
	for id, r := range map[string]load.Report{
		"a": {Limit: 10}, "b": {Limit: 10, InFlight: 10}, "c": {Limit: 10, InFlight: 5}, "d": {Limit: 10, Crawlers: true},
	} {
		c.Learn(epoch, id, r)
	}
	given := 0
	for ; given < 10; given++ {
		id, ok := c.WithRoom(epoch.Add(time.Second), rng, false, "a")
		if !ok {
			break
		}
		if id != "c" {
			t.Fatalf("got %q, want c: a asks, b is full, d is warned", id)
		}
		c.Handed("c")
	}
	// Who asks and b are two who may send it clients.
	if given < 2 || given > 4 {
		t.Errorf("c was given %d clients by one of two since it told of room for five", given)
	}
	if id, ok := c.WithRoom(epoch, rng, true, ""); ok {
		t.Errorf("%s is to take crawlers, and none has said so", id)
	}
}

func TestRank(t *testing.T) {
	c := among(fleet.Warning, fleet.Passing, fleet.Passing, fleet.Critical)
	c.Learn(epoch, "b", load.Report{Limit: 10, InFlight: 10})
	c.Learn(epoch.Add(-time.Second), "c", load.Report{Limit: 10, InFlight: 1})
	ranked := c.Rank(epoch, chance(), 10)
	var ids []string
	for _, s := range ranked {
		ids = append(ids, s.ID)
	}
	if !slices.Equal(ids, []string{"c", "b", "a"}) {
		t.Fatalf("ranked %v", ids)
	}
	if s := ranked[0]; s.Room == nil || *s.Room != 0.9 || s.Age != time.Second || s.Hot {
		t.Errorf("c: %+v", s)
	}
	if !ranked[1].Hot || ranked[2].Room != nil || !ranked[2].Warning {
		t.Errorf("b, a: %+v", ranked[1:])
	}
}

// Whatever happens, nobody is chosen who says that it is unwell, or was ruled out,
// and somebody always is where a passing cell is left.
func TestChoosesOnlyWhoMay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "cells")
		members := make([]Member, n)
		c := NewChooser(rule())
		now := epoch
		health := rapid.SampledFrom([]fleet.Health{fleet.Passing, fleet.Warning, fleet.Critical})
		for i := range members {
			members[i] = Member{ID: fmt.Sprint(i), Health: health.Draw(t, "health"), Silent: rapid.Bool().Draw(t, "silent")}
		}
		c.SetMembers(now, members)
		rng := chance()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 5e9).Draw(t, "pause")))
			id := fmt.Sprint(rapid.IntRange(0, 13).Draw(t, "cell"))
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				c.Failed(now, id)
			case 1:
				c.Learn(now, id, load.Report{InFlight: rapid.IntRange(0, 1e6).Draw(t, "flight"), Limit: rapid.IntRange(1, 1e6).Draw(t, "limit"), Hot: rapid.Bool().Draw(t, "hot")})
			case 2:
				c.Began(now, id)
			case 3:
				c.Ended(now, id)
			case 4:
				c.Answered(now, id, time.Duration(rapid.Int64Range(0, 1e11).Draw(t, "took")))
			}
			got, ok := c.Choose(now, rng, id)
			if !ok {
				for _, m := range members {
					if m.Health == fleet.Passing && m.ID != id && !now.Before(c.cells[m.ID].until) {
						t.Fatalf("nobody was chosen, and %s is well", m.ID)
					}
				}
				continue
			}
			if m := c.cells[got]; got == id || m.Health == fleet.Critical && !m.Silent {
				t.Fatalf("%s was chosen: %+v, without %s", got, m.Member, id)
			}
		}
	})
}

func TestBudget(t *testing.T) {
	b := budget{share: 0.2, least: 1}
	for range 100 {
		b.deposit(epoch)
	}
	got := 0
	for b.withdraw(epoch) {
		got++
	}
	if got != 30 { // A fifth of a hundred, and one for each of ten seconds.
		t.Errorf("%d retries, want 30", got)
	}
	if !b.withdraw(epoch.Add(budgetSeconds * time.Second)) {
		t.Error("what was taken out long ago still counts")
	}
}
