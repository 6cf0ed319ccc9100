package fleet

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestSpreadRecordComesBack draws records of services that are spread, with names of
// every kind in any order: each comes back as it was written.
func TestSpreadRecordComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom([]string{"pod-", "pod-0", "pod", "a-1-", ""}).Draw(t, "stem") +
				rapid.SampledFrom([]string{"1", "2", "3", "4", "9", "10", "11", "99999999999999999999", "x"}).Draw(t, "end")
		})
		want := Record{Format: 2, Names: rapid.SliceOfNDistinct(name, 1, 30, rapid.ID).Draw(t, "names")}
		for range want.Names {
			want.Shards = append(want.Shards, rapid.IntRange(0, 2).Draw(t, "shard"))
		}
		want.Count = len(want.Names)
		reason := rapid.SampledFrom([]string{"", "load", "lag"})
		order := Order{ID: "1", Reason: rapid.SampledFrom([]string{"load", "lag"}).Draw(t, "reason")}
		for _, n := range want.Names {
			// A newborn without a reason has its order's.
			why := reason.Draw(t, "why")
			if why == "" {
				why = order.Reason
			}
			order.Add = append(order.Add, Newborn{Name: n, Reason: why})
		}
		want.Orders = []Order{order}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Record
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v\nfrom %s", got, want, text)
		}
		if want.Orders[0].Add[0].Reason == "" {
			t.Fatal("the record was changed by writing it")
		}
	})
}

// TestLargeRecordIsShort writes the record of ten thousand cells of a service with a
// long name, with an order of a thousand births.
func TestLargeRecordIsShort(t *testing.T) {
	var r Record
	for i := range 10_000 {
		r.Names, r.Shards = append(r.Names, fmt.Sprintf("a-service-with-a-long-name-%d", i+1)), append(r.Shards, i/100)
	}
	r.Orders = []Order{{ID: "1", Reason: strings.Repeat("because of the load ", 20)}}
	for _, name := range r.Names[9000:] {
		r.Orders[0].Add = append(r.Orders[0].Add, Newborn{Name: name, Incarnation: "0123456789abcdef0123", Parent: r.Names[0], Generation: 3, Reason: r.Orders[0].Reason})
	}
	text, err := encode("record", r)
	if err != nil || len(text) > ValueLimit/2 {
		t.Errorf("%d bytes of at most %d: %v", len(text), ValueLimit, err)
	}
	r.Orders = nil
	if text, err = encode("record", r); err != nil || len(text) > 8_000 {
		t.Errorf("%d bytes without an order: %v", len(text), err)
	}
}

// TestOddRuns reads what no record holds.
func TestOddRuns(t *testing.T) {
	for name, cells := range map[string]string{
		"no list":         `{"pod-1":0}`,
		"no run":          `[[]]`,
		"no name":         `[[0]]`,
		"too much":        `[[0,"pod-1",2,3]]`,
		"a shard by name": `[["pod-1",0]]`,
		"none":            `[[0,"pod-1",0]]`,
		"without end":     `[[0,"pod-1",99999999]]`,
		"no number":       `[[0,"pod",2]]`,
		"a leading zero":  `[[0,"pod-01",2]]`,
	} {
		t.Run(name, func(t *testing.T) {
			var r Record
			err := decode("record", fmt.Appendf(nil, `{"format":2,"count":1,"cells":%s}`, cells), &r)
			if !isCorrupt(err) {
				t.Errorf("got %+v, %v", r, err)
			}
			if err := decode("record", fmt.Appendf(nil, `{"format":3,"count":1,"cells":%s}`, cells), &r); isCorrupt(err) {
				t.Errorf("of a newer format: %v", err)
			}
		})
	}
}
