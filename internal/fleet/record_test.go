package fleet

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestRecordComesBackAsWritten(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	_, _, err := c.Record(t.Context(), "crawler")
	wantError(t, err, ErrNoRecord)

	lease := lead(t, c, "crawler")
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	want := Record{
		Count: 2, Names: []string{"crawler-1", "crawler-4"}, Next: 5, Bundle: "sha256:ab",
		Orders: []Order{{
			ID: "o1", Epoch: 1, Add: []Newborn{{Name: "crawler-4", Incarnation: "x", Parent: "crawler-1", Generation: 2, Reason: "lag"}},
			Remove: []string{"crawler-3"}, Replace: []string{"crawler-2"}, Reason: "lag", Placed: at, Expected: at.Add(time.Minute),
		}},
		Decision: &Note{At: at, Code: "lag", Reason: "lag of 40 s", Desired: 2},
		Shape:    json.RawMessage(`{"digest":"x"}`),
	}
	index := must(lease.PutRecord(t.Context(), want, 0))(t)
	got, read, err := c.Record(t.Context(), "crawler")
	ok(t, err)
	want.Format, want.Epoch = 1, lease.Epoch()
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v\nwant %+v", *got, want)
	}
	if read != index {
		t.Errorf("modify index %d, PutRecord said %d", read, index)
	}
}

func TestStaleRecordIsAConflict(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	lease := lead(t, c, "crawler")
	first := must(lease.PutRecord(t.Context(), Record{Count: 1}, 0))(t)
	second := must(lease.PutRecord(t.Context(), Record{Count: 2}, first))(t)
	for name, index := range map[string]uint64{"stale": first, "none yet": 0, "from the future": second + 1000} {
		_, err := lease.PutRecord(t.Context(), Record{Count: 9}, index)
		if !errors.Is(err, ErrConflict) || errors.Is(err, ErrFenced) {
			t.Errorf("%s: got %v, want ErrConflict", name, err)
		}
	}
	if r, _, err := c.Record(t.Context(), "crawler"); err != nil || r.Count != 2 {
		t.Errorf("record %+v (%v), want count 2", r, err)
	}
	if lease.Err() != nil {
		t.Errorf("a conflict lost the lease: %v", lease.Err())
	}
}

func TestOfConcurrentWritesOneWins(t *testing.T) {
	t.Parallel()
	lease := lead(t, sharedClient(t), "crawler")
	index := must(lease.PutRecord(t.Context(), Record{}, 0))(t)
	var won, lost atomic.Int32
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			switch _, err := lease.PutRecord(t.Context(), Record{Count: n + 1}, index); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, ErrConflict):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != 7 {
		t.Errorf("%d won and %d lost, want 1 and 7", won.Load(), lost.Load())
	}
}

func TestUnreadableRecordIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	for name, text := range map[string]string{
		"cut short":      `{"format":1,"count":`,
		"not JSON":       `hello`,
		"empty":          ``,
		"null":           `null`,
		"other JSON":     `{"replicas":3}`,
		"a number":       `3`,
		"negative count": `{"format":1,"count":-1}`,
		"count as text":  `{"format":1,"count":"3"}`,
	} {
		key := c.key("crawler", keyRecord)
		_, err := raw(t, sharedConsul(t)).KV().Put(&api.KVPair{Key: key, Value: []byte(text)}, nil)
		ok(t, err)
		_, _, err = c.Record(t.Context(), "crawler")
		if !isCorrupt(err) || errors.Is(err, ErrNoRecord) {
			t.Errorf("%s: got %v, want a CorruptError", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "consul kv get "+key) {
			t.Errorf("%s: the message does not say what to do: %v", name, err)
		}
	}
}

func TestNewerRecordIsNotRead(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	_, err := raw(t, sharedConsul(t)).KV().Put(&api.KVPair{Key: c.key("crawler", keyRecord), Value: []byte(`{"format":9,"count":7}`)}, nil)
	ok(t, err)
	_, _, err = c.Record(t.Context(), "crawler")
	wantError(t, err, ErrNewerFormat)
	if isCorrupt(err) {
		t.Error("a newer format is called corrupt")
	}
}

// The limit is Consul's own as long as what lies below it passes.
func TestLargestValueFitsAndALargerIsRefused(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	lease := lead(t, c, "crawler")
	const quotes = 2
	ok(t, lease.Put(t.Context(), "law", strings.Repeat("x", ValueLimit-quotes)))
	wantError(t, lease.Put(t.Context(), "law", strings.Repeat("x", ValueLimit)), ErrTooLarge)
	_, err := lease.PutRecord(t.Context(), Record{Bundle: strings.Repeat("x", ValueLimit)}, 0)
	wantError(t, err, ErrTooLarge)
	var law string
	ok(t, c.Law(t.Context(), "crawler", &law))
	if len(law) != ValueLimit-quotes {
		t.Errorf("%d bytes came back", len(law))
	}
}

// Consul commits the write, the answer is lost, and the next address is asked.
func TestWriteWhoseAnswerWasLostIsNoConflict(t *testing.T) {
	t.Parallel()
	server := sharedConsul(t)
	var broken atomic.Bool
	flaky := fault(t, swallow(server.Addr(), func(r *http.Request) bool { return broken.Load() && r.URL.Path == "/v1/txn" }))
	c := newClient(t, quiet(t, flaky, server.Addr()))
	lease := lead(t, c, "crawler")
	broken.Store(true)
	index := must(lease.PutRecord(t.Context(), Record{Count: 4}, 0))(t)
	r, read, err := c.Record(t.Context(), "crawler")
	ok(t, err)
	if r.Count != 4 || read != index {
		t.Errorf("record %+v at %d, want count 4 at %d", r, read, index)
	}
}

func TestLockAndRecordHaveNoOtherWay(t *testing.T) {
	t.Parallel()
	lease := lead(t, sharedClient(t), "crawler")
	for _, key := range []string{"lock", "record", "", "../api/record", "leaving/", "a//b"} {
		if err := lease.Put(t.Context(), key, 1); err == nil {
			t.Errorf("Put(%q) was taken", key)
		}
		if err := lease.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete(%q) was taken", key)
		}
	}
	if err := lease.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A record is read or refused, and one that is read is written back the same.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"format":1,"epoch":3,"count":2,"names":["a-1","a-2"],"next":3}`))
	f.Add([]byte(`{"format":1,"orders":[{"id":"o","placed":"2026-03-01T12:00:00Z"}],"shape":{"a":[1]}}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r Record
		if err := decode("k", text, &r); err != nil {
			if !errors.Is(err, ErrNewerFormat) && !isCorrupt(err) {
				t.Errorf("an error of neither kind: %v", err)
			}
			return
		}
		out, err := json.Marshal(r)
		ok(t, err)
		var again Record
		ok(t, decode("k", out, &again))
		back, err := json.Marshal(again)
		ok(t, err)
		if string(out) != string(back) {
			t.Errorf("%s came back as %s", out, back)
		}
	})
}

// TestSpreadRecord writes a record of a service that is spread in a format that older
// versions refuse, and any other in theirs.
func TestSpreadRecord(t *testing.T) {
	t.Parallel()
	c := sharedClient(t)
	lease := lead(t, c, "crawler")
	r := Record{Count: 3, Names: []string{"crawler-1", "crawler-2", "crawler-3"}, Shards: []int{0, 1, 1}}
	index := must(lease.PutRecord(t.Context(), r, 0))(t)
	got, _, err := c.Record(t.Context(), "crawler")
	ok(t, err)
	if got.Format != 2 || !got.Spread() || !reflect.DeepEqual(got.Shards, r.Shards) {
		t.Errorf("got %+v", got)
	}
	for shard, want := range map[int][]string{0: {"crawler-1"}, 1: {"crawler-2", "crawler-3"}, 2: {}} {
		if in := got.In(shard); !reflect.DeepEqual(in, want) {
			t.Errorf("shard %d: %v, want %v", shard, in, want)
		}
	}
	r.Shards = nil
	_ = must(lease.PutRecord(t.Context(), r, index))(t)
	got, _, err = c.Record(t.Context(), "crawler")
	ok(t, err)
	if got.Format != 1 || got.Spread() || len(got.In(0)) != 3 || len(got.In(1)) != 0 {
		t.Errorf("got %+v", got)
	}
	for name, shards := range map[string][]int{"too few": {0}, "too many": {0, 0, 0, 0}, "below zero": {0, -1, 0}} {
		r.Shards = shards
		if _, err := lease.PutRecord(t.Context(), r, index); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

// TestMoveNotes keeps a person's wish and a leader's move until each is done.
func TestMoveNotes(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	lease := lead(t, c, "api")
	if w, err := c.SpreadWished(t.Context(), "api"); w != nil || err != nil {
		t.Errorf("wished: %v, %v", w, err)
	}
	ok(t, c.WishSpread(t.Context(), "api", SpreadWish{By: "ann"}))
	if w := must(c.SpreadWished(t.Context(), "api"))(t); w.By != "ann" || !w.Since.Equal(noon) {
		t.Errorf("wished: %+v", w)
	}
	ok(t, lease.EndSpread(t.Context()))
	if w, err := c.SpreadWished(t.Context(), "api"); w != nil || err != nil {
		t.Errorf("wished: %v, %v", w, err)
	}
	move := MoveNote{From: 0, To: 2, Names: []string{"api-1"}, Since: noon}
	ok(t, lease.PutMove(t.Context(), move))
	if m := must(c.Move(t.Context(), "api"))(t); !reflect.DeepEqual(*m, move) {
		t.Errorf("got %+v", m)
	}
	ok(t, lease.ClearMove(t.Context()))
	if m, err := c.Move(t.Context(), "api"); m != nil || err != nil {
		t.Errorf("got %v, %v", m, err)
	}
	for name, bad := range map[string]MoveNote{
		"nowhere": {From: 1, To: 1, Names: []string{"api-1"}, Since: noon}, "nobody": {To: 1, Since: noon}, "never": {To: 1, Names: []string{"api-1"}},
	} {
		if err := lease.PutMove(t.Context(), bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
