package fleet

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestClaimHost(t *testing.T) {
	c := sharedClient(t)
	pool := []string{"10.9.0.1:22", "10.9.0.2:2222", "[fd00::9]:22"}
	cell := func(n int) Cell { return Cell{Service: "web", Name: fmt.Sprintf("web-%d", n), Incarnation: "a"} }
	var claimed []string
	for n := range pool {
		h, err := c.ClaimHost(t.Context(), pool, cell(n))
		if err != nil {
			t.Fatal(err)
		}
		claimed = append(claimed, h.Address)
	}
	if strings.Join(claimed, " ") != strings.Join(pool, " ") {
		t.Fatalf("claimed %v", claimed)
	}
	again := cell(1)
	again.Incarnation = "b"
	if h := must(c.ClaimHost(t.Context(), pool, again))(t); h.Address != pool[1] || h.Incarnation != "b" {
		t.Errorf("a later life of web-1 was given %+v", h)
	}
	if err := c.SpendHost(t.Context(), pool[2], HostLost, "it didn't answer", cell(2)); err != nil {
		t.Fatal(err)
	}
	_, err := c.ClaimHost(t.Context(), pool, cell(3))
	if used, ok := errors.AsType[*PoolUsedUpError](err); !ok || len(used.Hosts) != 3 || !strings.Contains(err.Error(), "[fd00::9]:22 is lost by web/web-2: it didn't answer") {
		t.Errorf("a full pool gave %v", err)
	}
	if err := c.FreeHost(t.Context(), pool[0], cell(1)); err != nil {
		t.Fatal(err)
	}
	if hosts := must(c.Hosts(t.Context()))(t); len(hosts) != 3 {
		t.Errorf("another cell's host was freed: %+v", hosts)
	}
	if err := c.FreeHost(t.Context(), pool[0], cell(0)); err != nil {
		t.Fatal(err)
	}
	if h := must(c.ClaimHost(t.Context(), pool, cell(3)))(t); h.Address != pool[0] {
		t.Errorf("the freed host was not given: %+v", h)
	}
	if err := c.SpendHost(t.Context(), pool[0], HostSpent, "", cell(0)); err == nil {
		t.Error("a claim of another cell was written over")
	}
	if _, err := c.ClaimHost(t.Context(), []string{"no-port"}, cell(4)); err == nil {
		t.Error("a host without a port was claimed")
	}
}

// Of many births that want few hosts at the same instant each gets one of its
// own, and the rest are told that there is none.
func TestClaimHostAtOnce(t *testing.T) {
	c := sharedClient(t)
	var pool []string
	for n := range 5 {
		pool = append(pool, fmt.Sprintf("10.8.0.%d:22", n+1))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	owners, refused := map[string]string{}, 0
	for n := range 12 {
		wg.Go(func() {
			cell := Cell{Service: "web", Name: fmt.Sprintf("web-%d", n), Incarnation: "a"}
			h, err := c.ClaimHost(t.Context(), pool, cell)
			mu.Lock()
			defer mu.Unlock()
			_, full := errors.AsType[*PoolUsedUpError](err)
			switch {
			case full:
				refused++
			case err != nil:
				t.Error(err)
			case owners[h.Address] != "":
				t.Errorf("%s was given to %s and %s", h.Address, owners[h.Address], cell.Name)
			default:
				owners[h.Address] = cell.Name
			}
		})
	}
	wg.Wait()
	if len(owners) != 5 || refused != 7 {
		t.Errorf("given %v, refused %d", owners, refused)
	}
}

// A machine that no birth gets into blocks nobody: it is tried again after all
// others, and what a birth may have left on it is named to the next.
func TestFailedHosts(t *testing.T) {
	c, now := atNoon(t)
	pool := []string{"10.7.0.1:22", "10.7.0.2:22", "[::1]:22"}
	cell := func(n int) Cell { return Cell{Service: "pod", Name: fmt.Sprintf("pod-%d", n), Incarnation: "a"} }
	claim := func(n int, want string) Host {
		t.Helper()
		h := must(c.ClaimHost(t.Context(), pool, cell(n)))(t)
		if h.Address != want {
			t.Errorf("%s got %s, want %s", cell(n).Name, h.Address, want)
		}
		*now = now.Add(time.Second)
		return h
	}
	first := claim(1, pool[0])
	ok(t, c.SpendHost(t.Context(), pool[0], HostFailed, "no route", cell(1)))
	claim(2, pool[1])
	ok(t, c.AbandonHost(t.Context(), Host{Address: pool[1], Service: "pod", Cell: "pod-2", Incarnation: "a"}, "nobody goes on with it"))
	claim(3, pool[2])
	if h := claim(4, pool[0]); len(h.Remains) != 0 {
		t.Errorf("nothing was begun there: %+v", h.Remains)
	}
	h := claim(5, pool[1])
	if len(h.Remains) != 1 || h.Remains[0] != (Remains{Service: "pod", Cell: "pod-2", Incarnation: "a"}) {
		t.Errorf("what is left there: %+v", h.Remains)
	}
	again := cell(5)
	again.Incarnation = "b"
	if h := must(c.ClaimHost(t.Context(), pool, again))(t); len(h.Remains) != 2 || h.Address != pool[1] {
		t.Errorf("a later life got %+v", h)
	}
	// An earlier life that ends late changes nothing of the later one's claim.
	ok(t, c.FreeHost(t.Context(), pool[1], cell(5)))
	if err := c.SpendHost(t.Context(), pool[1], HostLost, "late", cell(5)); !errors.Is(err, ErrConflict) {
		t.Errorf("an earlier life wrote over a claim: %v", err)
	}
	if err := c.AbandonHost(t.Context(), first, "late"); !errors.Is(err, ErrConflict) {
		t.Errorf("an earlier life gave up another's host: %v", err)
	}
	if held := must(c.HostOf(t.Context(), "pod", "pod-5"))(t); held == nil || held.Incarnation != "b" {
		t.Errorf("pod-5 holds %+v", held)
	}
	if _, err := c.ClaimHost(t.Context(), pool[:1], again); err == nil || !strings.Contains(err.Error(), "no longer in the pool") {
		t.Errorf("a pool without the machine of a cut birth: %v", err)
	}
	ok(t, c.RestoreHost(t.Context(), pool[1], cell(9)))
	if held := must(c.HostOf(t.Context(), "pod", "pod-9"))(t); held != nil {
		t.Errorf("a claim was written over: %+v", held)
	}
}

// A person gives back what isn't used any more, and never what a cell lives on.
func TestReturnHost(t *testing.T) {
	c, _ := atNoon(t)
	cell := Cell{Service: "pod", Name: "pod-1", Incarnation: "a", TTL: time.Minute}
	pool := []string{"10.6.0.1:22"}
	must(c.ClaimHost(t.Context(), pool, cell))(t)
	ok(t, c.Push(t.Context(), cell, Passing, "well"))
	if _, err := c.ReturnHost(t.Context(), pool[0]); err == nil || !strings.Contains(err.Error(), "pod/pod-1.a is on it") {
		t.Errorf("the machine of a living cell was returned: %v", err)
	}
	ok(t, c.Deregister(t.Context(), cell.ID()))
	must(c.ReturnHost(t.Context(), pool[0]))(t)
	next := Cell{Service: "pod", Name: "pod-2", Incarnation: "a"}
	if h := must(c.ClaimHost(t.Context(), pool, next))(t); len(h.Remains) != 1 || h.Remains[0].Cell != "pod-1" {
		t.Errorf("after that: %+v", h)
	}
	ok(t, c.SpendHost(t.Context(), pool[0], HostSpent, "it has left", next))
	must(c.ReturnHost(t.Context(), pool[0]))(t)
	if all := must(c.Hosts(t.Context()))(t); len(all) != 0 {
		t.Errorf("claims left: %+v", all)
	}
	if _, err := c.ReturnHost(t.Context(), pool[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("a free one was returned: %v", err)
	}
}
