package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// RecordFormat is the newest format of the record that this version knows. A
// field that an older version would lose by writing the record back raises it:
// 2 says where the cells of a service are that is spread, or was. What isn't is written
// in format 1, so that older versions can read it. Failed does not raise it: to go on
// without it is no worse than what such a version does of itself.
const RecordFormat = 2

// Record is what is true of a service: variable file, plan and guard are made
// from it. It is written only through a Lease.
type Record struct {
	// Format and Epoch are filled in when the record is written.
	Format int `json:"format"`
	// Epoch is that of the leader who wrote it last; it rises with each leader.
	Epoch uint64 `json:"epoch"`
	// Count is how many cells there are to be.
	Count int `json:"count"`
	// Names are those cells; nil where the root module takes a bare count.
	Names []string `json:"names,omitempty"`
	// Shards is the shard of each name, as many as there are names; nil where all
	// are in one state.
	Shards []int `json:"shards,omitempty"`
	// Emptied is set while all are in one state and there are workspaces of shards
	// still, which read the variable file, too.
	Emptied bool `json:"emptied,omitempty"`
	// Next is the number in the name of the next new cell; it only rises.
	Next int `json:"next"`
	// Bundle is the digest of policy, root module and genome, Genome that of the
	// genome alone. A cell of another genome is a mutant, and is renewed.
	Bundle string `json:"bundle,omitempty"`
	Genome string `json:"genome,omitempty"`
	// Surge is how many of the cells are there only while others are renewed.
	Surge int `json:"surge,omitempty"`
	// Halt is set while the renewal to a genome is stopped.
	Halt *Halt `json:"halt,omitempty"`
	// Failed are those of the cells whose birth failed for good, until an order gives
	// their names up or makes them anew. No state need hold anything of them.
	Failed []string `json:"failed,omitempty"`
	// Orders are those not yet carried out.
	Orders   []Order `json:"orders,omitempty"`
	Decision *Note   `json:"decision,omitempty"`
	// Shape is what the guard learned of an order, as the guard wrote it.
	Shape json.RawMessage `json:"shape,omitempty"`
}

// Order is a decision being carried out.
type Order struct {
	ID     string    `json:"id"`
	Epoch  uint64    `json:"epoch"`
	Add    []Newborn `json:"add,omitempty"`
	Remove []string  `json:"remove,omitempty"`
	// Replace are cells whose name stays and whose instance is made anew.
	Replace []string `json:"replace,omitempty"`
	// Dead are the lives, by the ids of their registrations, of those removed or
	// replaced that the leader has found dead. Nobody waits long for them to leave.
	Dead []string `json:"dead,omitempty"`
	// Surge is how many of the cells added are there only while others are
	// renewed; below zero, of those removed.
	Surge  int       `json:"surge,omitempty"`
	Reason string    `json:"reason"`
	Placed time.Time `json:"placed"`
	// Expected is when it should have landed.
	Expected time.Time `json:"expected"`
}

// Renews reports whether an order does nothing but renew cells: the count that
// the law wants stays.
func (o Order) Renews() bool {
	return o.Surge != 0 && len(o.Add)-len(o.Replace)-len(o.Remove) == o.Surge
}

// Halt says that cells of a genome didn't come to live, so that no more of it are
// made only to renew others.
type Halt struct {
	Genome string    `json:"genome"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Newborn is a cell that an order is to bring forth.
type Newborn struct {
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"`
	Parent      string `json:"parent,omitempty"`
	Generation  int    `json:"generation"`
	Reason      string `json:"reason,omitempty"`
}

// Note is a decision in short.
type Note struct {
	At      time.Time `json:"at"`
	Code    string    `json:"code"`
	Reason  string    `json:"reason"`
	Desired int       `json:"desired"`
}

// check tells a record from any other JSON.
func (r *Record) check() error {
	switch {
	case r.Format == 0:
		return fmt.Errorf("it has no format")
	case r.Format > RecordFormat:
		return fmt.Errorf("format %d, this version knows %d: %w", r.Format, RecordFormat, ErrNewerFormat)
	case r.Count < 0 || r.Next < 0:
		return fmt.Errorf("count %d, next %d: neither may be negative", r.Count, r.Next)
	case len(r.Shards) > 0 && len(r.Shards) != len(r.Names):
		return fmt.Errorf("%d shards for %d names", len(r.Shards), len(r.Names))
	case len(r.Shards) > 0 && slices.Min(r.Shards) < 0:
		return fmt.Errorf("shard %d: none is negative", slices.Min(r.Shards))
	}
	return nil
}

// format is the oldest format that says all of the record.
func (r *Record) format() int {
	if len(r.Shards) > 0 || r.Emptied {
		return 2
	}
	return 1
}

// Spread reports whether the cells are in more than one state.
func (r *Record) Spread() bool { return len(r.Shards) > 0 }

// In returns the names of the cells in a shard, in their order.
func (r *Record) In(shard int) []string {
	if !r.Spread() && shard == 0 {
		return r.Names
	}
	names := []string{}
	for i, n := range r.Shards {
		if n == shard {
			names = append(names, r.Names[i])
		}
	}
	return names
}

// Record reads a service's record and the modify index that PutRecord wants.
// It returns ErrNoRecord when Consul holds none, ErrNewerFormat or a
// CorruptError when it can't be read.
func (c *Client) Record(ctx context.Context, service string) (*Record, uint64, error) {
	r, index, err := get[Record](ctx, c, c.key(service, keyRecord))
	if err != nil {
		return nil, 0, fmt.Errorf("read the record of %s: %w", service, err)
	}
	if r == nil {
		return nil, 0, fmt.Errorf("read the record of %s: %w", service, ErrNoRecord)
	}
	return r, index, nil
}
