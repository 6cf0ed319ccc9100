package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/hashicorp/consul/api"
)

// fewest picks the partner with the fewest pairs.
func fewest(partners ...string) func(context.Context, []Pair) (Pair, error) {
	return func(_ context.Context, all []Pair) (Pair, error) {
		count := map[string]int{}
		for _, p := range all {
			count[p.Partner]++
		}
		best := partners[0]
		for _, name := range partners {
			if count[name] < count[best] {
				best = name
			}
		}
		return Pair{Partner: best, Address: best + ":5432"}, nil
	}
}

func always(Pair) bool { return true }

// Twenty cells that are born at once spread evenly, and each keeps its partner.
func TestPairsOfCellsBornAtOnce(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	const cells = 20
	pairs := make([]Pair, cells)
	var wg sync.WaitGroup
	for i := range cells {
		wg.Go(func() {
			p, err := c.PairUp(t.Context(), "db", Cell{Service: "api", Name: fmt.Sprintf("api-%d", i), Incarnation: "x"}, always, fewest("db-1", "db-2", "db-3", "db-4"))
			if err != nil {
				t.Error(err)
			}
			pairs[i] = p
		})
	}
	wg.Wait()
	count := map[string]int{}
	for _, p := range must(c.Pairs(t.Context(), "db"))(t) {
		count[p.Partner]++
	}
	for name, n := range count {
		if n != cells/4 {
			t.Errorf("%s has %d pairs of %v", name, n, count)
		}
	}
	nobody := func(context.Context, []Pair) (Pair, error) { return Pair{}, errors.New("must not choose") }
	for i, p := range pairs {
		again := must(c.PairUp(t.Context(), "db", Cell{Service: "api", Name: fmt.Sprintf("api-%d", i), Incarnation: "x"}, always, nobody))(t)
		if again != p {
			t.Errorf("again %+v, first %+v", again, p)
		}
	}
}

func TestPairIsMadeAnew(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	cell := Cell{Service: "api", Name: "api-1", Incarnation: "x"}
	must(c.PairUp(t.Context(), "db", cell, always, fewest("db-1")))(t)
	// The partner is no more.
	p := must(c.PairUp(t.Context(), "db", cell, func(p Pair) bool { return p.Partner != "db-1" }, fewest("db-2")))(t)
	if p.Partner != "db-2" {
		t.Errorf("got %+v", p)
	}
	// Another life of a name.
	cell.Incarnation = "y"
	if p = must(c.PairUp(t.Context(), "db", cell, always, fewest("db-3")))(t); p.Partner != "db-3" || p.Incarnation != "y" || p.At != noon {
		t.Errorf("got %+v", p)
	}
	if _, err := c.PairUp(t.Context(), "db", Cell{Service: "api", Name: "a/b"}, always, fewest("db-3")); err == nil {
		t.Error("a/b was paired")
	}
	none := errors.New("there is none")
	_, err := c.PairUp(t.Context(), "db", Cell{Service: "api", Name: "api-2"}, always, func(context.Context, []Pair) (Pair, error) { return Pair{}, none })
	wantError(t, err, none)
}

func TestPairsOfTheGoneAreSwept(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	lease := lead(t, c, "api")
	for _, cell := range []Cell{{Service: "api", Name: "api-1"}, {Service: "api", Name: "api-2"}, {Service: "front", Name: "front-1"}} {
		must(c.PairUp(t.Context(), "db", cell, always, fewest("db-1")))(t)
	}
	ok(t, lease.SweepPairs(t.Context(), "db", []string{"api-2"}))
	left := must(c.Pairs(t.Context(), "db"))(t)
	if len(left) != 2 || left[0].Cell != "api-2" || left[1].Cell != "front-1" {
		t.Errorf("left %+v", left)
	}
}

// A key that holds something else than a pair stands in the way of its own cell alone:
// that cell's data may be with the partner it had.
func TestPairThatCantBeRead(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	for _, key := range []string{"api/api-1", "front/front-1", "stray"} {
		_, err := raw(t, sharedConsul(t)).KV().Put(&api.KVPair{Key: c.key("db", keyPairs, key), Value: []byte(`{"cell":`)}, nil)
		ok(t, err)
	}
	seen := 0
	count := func(ctx context.Context, all []Pair) (Pair, error) {
		for _, p := range all {
			if isCorrupt(p.Unread) {
				seen++
			}
		}
		return fewest("db-1")(ctx, all)
	}
	must(c.PairUp(t.Context(), "db", Cell{Service: "api", Name: "api-2"}, always, count))(t)
	if seen != 3 {
		t.Errorf("%d of 3 were told of", seen)
	}
	if _, err := c.PairUp(t.Context(), "db", Cell{Service: "api", Name: "api-1"}, always, count); !isCorrupt(err) {
		t.Errorf("the cell itself: %v, want a CorruptError", err)
	}
	// It goes with its cell, those of other services don't.
	lease := lead(t, c, "api")
	ok(t, lease.SweepPairs(t.Context(), "db", []string{"api-1", "api-2"}))
	if left := must(c.Pairs(t.Context(), "db"))(t); len(left) != 4 {
		t.Errorf("the living lost theirs: %+v", left)
	}
	ok(t, lease.SweepPairs(t.Context(), "db", []string{"api-2"}))
	left := must(c.Pairs(t.Context(), "db"))(t)
	if len(left) != 3 || left[0].Cell != "api-2" || left[1].Cell != "front-1" || left[1].Unread == nil {
		t.Errorf("left %+v", left)
	}
}
