package fleet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The record of a service that is spread names thousands of cells, and every birth
// reads it. Name by name it would come near to what Consul takes of a value, so in
// format 2 the cells are written in runs: names that follow one another and are in
// one shard. Ten thousand cells in a hundred shards are a hundred runs, and no
// longer than the list where no two names follow one another. What each newborn
// of an order has in common with the order, its reason, is written once.

// run is such a run: [3,"crawler-301",100] is crawler-301 to crawler-400, all in
// shard 3.
type run struct {
	shard int
	first string
	count int
}

// mostRun is the longest run that is read: a longer one is no record's.
const mostRun = 1_000_000

func (r run) MarshalJSON() ([]byte, error) {
	if r.count == 1 {
		return json.Marshal([]any{r.shard, r.first})
	}
	return json.Marshal([]any{r.shard, r.first, r.count})
}

func (r *run) UnmarshalJSON(text []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return err
	}
	if len(parts) != 2 && len(parts) != 3 {
		return fmt.Errorf("run %s: want shard, first name and count", text)
	}
	r.count = 1
	for i, into := range []any{&r.shard, &r.first, &r.count}[:len(parts)] {
		if err := json.Unmarshal(parts[i], into); err != nil {
			return fmt.Errorf("run %s: %w", text, err)
		}
	}
	_, _, numbered := numberedName(r.first)
	if r.count < 1 || r.count > mostRun || r.count > 1 && !numbered {
		return fmt.Errorf("run %s: no such names", text)
	}
	return nil
}

// numberedName splits a name that ends in a number. One with a leading zero isn't
// taken for such: it would come back without.
func numberedName(name string) (stem string, number int, numbered bool) {
	stem = strings.TrimRight(name, "0123456789")
	digits := name[len(stem):]
	number, err := strconv.Atoi(digits)
	return stem, number, err == nil && strconv.Itoa(number) == digits
}

// runsOf writes names and their shards as runs, in their order.
func runsOf(names []string, shards []int) []run {
	runs := []run{}
	var stem string // of the run that is being made, and the number that would go on with it
	var next int
	open := false
	for i, name := range names {
		s, n, numbered := numberedName(name)
		if last := len(runs) - 1; open && numbered && s == stem && n == next && shards[i] == runs[last].shard {
			runs[last].count++
			next++
			continue
		}
		runs = append(runs, run{shard: shards[i], first: name, count: 1})
		stem, next, open = s, n+1, numbered
	}
	return runs
}

// listed is what runs stand for.
func listed(runs []run) (names []string, shards []int) {
	for _, r := range runs {
		stem, number, _ := numberedName(r.first)
		for i := range r.count {
			name := r.first
			if i > 0 {
				name = stem + strconv.Itoa(number+i)
			}
			names, shards = append(names, name), append(shards, r.shard)
		}
	}
	return names, shards
}

// plainRecord is a record without the methods below.
type plainRecord Record

// MarshalJSON writes the record as Consul holds it.
func (r Record) MarshalJSON() ([]byte, error) {
	if !r.Spread() || len(r.Shards) != len(r.Names) {
		return json.Marshal(plainRecord(r))
	}
	text := struct {
		plainRecord
		Cells []run `json:"cells"`
	}{plainRecord(r), runsOf(r.Names, r.Shards)}
	text.Names, text.Shards, text.Orders = nil, nil, slices.Clone(r.Orders)
	for i, o := range text.Orders {
		text.Orders[i].Add = slices.Clone(o.Add)
		for j, n := range o.Add {
			if n.Reason == o.Reason {
				text.Orders[i].Add[j].Reason = ""
			}
		}
	}
	return json.Marshal(text)
}

// UnmarshalJSON reads what MarshalJSON writes. Of a record of a newer format it
// reads no more than it can.
func (r *Record) UnmarshalJSON(b []byte) error {
	var text struct {
		plainRecord
		Cells json.RawMessage `json:"cells"`
	}
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	*r = Record(text.plainRecord)
	if len(text.Cells) == 0 || r.Format > RecordFormat {
		return nil
	}
	var runs []run
	if err := json.Unmarshal(text.Cells, &runs); err != nil {
		return fmt.Errorf("its cells: %w", err)
	}
	r.Names, r.Shards = listed(runs)
	for i, o := range r.Orders {
		for j, n := range o.Add {
			if n.Reason == "" {
				r.Orders[i].Add[j].Reason = o.Reason
			}
		}
	}
	return nil
}
