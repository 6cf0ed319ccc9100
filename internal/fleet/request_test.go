package fleet

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"
)

func TestRequestsBetweenLeaders(t *testing.T) {
	t.Parallel()
	c, now := atNoon(t)
	api, db := lead(t, c, "api"), lead(t, c, "db")
	ok(t, api.Ask(t.Context(), "db", Request{Floor: 2, Reason: "full"}, time.Minute))
	want := Request{From: "api", Floor: 2, Reason: "full", At: noon, Expires: noon.Add(time.Minute), Epoch: api.Epoch()}
	read := func() []Request {
		t.Helper()
		all := must(c.Requests(t.Context(), "db"))(t)
		for i := range all {
			if all[i].index == 0 {
				t.Error("a request without the index of its key")
			}
		}
		return all
	}
	bare := func(all []Request) []Request {
		all = slices.Clone(all)
		for i := range all {
			all[i].index = 0
		}
		return all
	}
	first := read()
	if got := bare(first); !slices.Equal(got, []Request{want}) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	ok(t, db.Answer(t.Context(), Answer{To: "api", Floor: 2, Granted: 2, Reason: "ordered"}))
	answer := map[string]Answer{"api": {To: "api", Floor: 2, Granted: 2, Reason: "ordered", At: noon, Epoch: db.Epoch()}}
	if got := must(c.Answers(t.Context(), "db"))(t); !maps.Equal(got, answer) {
		t.Errorf("got %+v, want %+v", got, answer)
	}

	// One that is renewed while it is being removed as expired stays.
	*now = noon.Add(2 * time.Minute)
	ok(t, api.Ask(t.Context(), "db", Request{Floor: 3, Reason: "still full"}, time.Minute))
	ok(t, db.Forget(t.Context(), first[0]))
	renewed := read()
	if len(renewed) != 1 || renewed[0].Floor != 3 {
		t.Fatalf("got %+v", renewed)
	}
	if got := must(c.Answers(t.Context(), "db"))(t); len(got) != 0 {
		t.Errorf("answers left: %+v", got)
	}
	ok(t, db.Forget(t.Context(), renewed[0]))
	if got := read(); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	ok(t, api.Ask(t.Context(), "db", Request{Floor: 1, Reason: "again"}, time.Minute))
	ok(t, api.Withdraw(t.Context(), "db"))
	ok(t, api.Withdraw(t.Context(), "db"))
	if got := read(); len(got) != 0 {
		t.Errorf("left: %+v", got)
	}
	for name, err := range map[string]error{
		"no cells":    api.Ask(t.Context(), "db", Request{}, time.Minute),
		"no lifetime": api.Ask(t.Context(), "db", Request{Floor: 1}, 0),
		"a path":      api.Ask(t.Context(), "a/b", Request{Floor: 1}, time.Minute),
	} {
		if err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}

// Something else among the requests, which anybody may write, keeps none of the
// others away.
func TestRequestsBesideGarbage(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	ok(t, lead(t, c, "api").Ask(t.Context(), "db", Request{Floor: 2, Reason: "full"}, time.Minute))
	ok(t, c.put(t.Context(), c.key("db", keyRequests, "zoo"), "nonsense"))
	all, err := c.Requests(t.Context(), "db")
	if _, corrupt := errors.AsType[*CorruptError](err); !corrupt || len(all) != 1 || all[0].From != "api" {
		t.Errorf("got %+v, %v", all, err)
	}
}

// Who lost the lock of the asking service asks nothing more, whatever it thinks.
func TestRequestsAreFenced(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	old := must(c.TryStand(t.Context(), "api", Holder{}))(t)
	ok(t, old.Ask(t.Context(), "db", Request{Floor: 2, Reason: "full"}, time.Minute))
	ok(t, old.Release(t.Context()))
	newer := lead(t, c, "api")
	ok(t, newer.Ask(t.Context(), "db", Request{Floor: 5, Reason: "fuller"}, time.Minute))
	wantError(t, old.Ask(t.Context(), "db", Request{Floor: 9, Reason: "old"}, time.Minute), ErrFenced)
	wantError(t, old.Withdraw(t.Context(), "db"), ErrFenced)
	all := must(c.Requests(t.Context(), "db"))(t)
	if len(all) != 1 || all[0].Floor != 5 || all[0].Epoch != newer.Epoch() {
		t.Errorf("got %+v", all)
	}
}
