package fleet

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
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

// A birth that was cut is told by its claim from one that is done.
func TestHeldHost(t *testing.T) {
	c := sharedClient(t)
	pool := []string{"10.9.1.1:22"}
	cell := Cell{Service: "web", Name: "web-1", Incarnation: "a"}
	if h := must(c.HeldHost(t.Context(), pool, "web", "web-1"))(t); h != nil {
		t.Errorf("before it was claimed: %+v", h)
	}
	must(c.ClaimHost(t.Context(), pool, cell))(t)
	if h := must(c.HeldHost(t.Context(), pool, "web", "web-1"))(t); h == nil || h.Incarnation != "a" || h.Born {
		t.Errorf("while it is being born: %+v", h)
	}
	ok(t, c.BornOnHost(t.Context(), pool[0], cell))
	if h := must(c.HeldHost(t.Context(), pool, "web", "web-1"))(t); h == nil || !h.Born {
		t.Errorf("once it is born: %+v", h)
	}
	cell.Incarnation = "b"
	if h := must(c.ClaimHost(t.Context(), pool, cell))(t); h.Born {
		t.Errorf("its next life: %+v", h)
	}
	if h := must(c.HeldHost(t.Context(), []string{"10.9.1.2:22"}, "web", "web-1"))(t); h != nil {
		t.Errorf("in another pool: %+v", h)
	}
}
