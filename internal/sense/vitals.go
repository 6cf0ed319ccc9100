package sense

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// VitalsPath is where a sidecar serves the vitals of its cell.
const VitalsPath = "/v1/vitals"

// Vitals is what a sidecar measures of its own cell.
type Vitals struct {
	Service     string `json:"service"`
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// Version is that of the application, as far as the sidecar knows it.
	Version string `json:"version,omitempty"`
	// At is when the vitals were measured, by the clock of the reader: see Age.
	At time.Time `json:"-"`
	// Age is how long before the answer the vitals were measured; whoever
	// serves them sets it. An age travels between machines whose clocks
	// disagree, an instant doesn't.
	Age time.Duration `json:"age_ns"`
	// Well says that the application is well, Ready that the cell takes load, and
	// Draining that it is to leave and its application knows of it.
	Well     bool `json:"well"`
	Ready    bool `json:"ready"`
	Draining bool `json:"draining"`
	// Moved says that the policy's command has moved what the cell holds, so that
	// it may leave.
	Moved bool `json:"moved,omitempty"`
	// InFlight is how many requests or messages the cell is working on.
	InFlight reading.Reading `json:"in_flight"`
	// Busy is the share of its time the cell works, 0 to 1, and BusySource
	// names what it was measured by.
	Busy       reading.Reading `json:"busy"`
	BusySource string          `json:"busy_source,omitempty"`
	// Offered, Served and Refused are per second. Refused ones are offered too.
	Offered reading.Reading `json:"offered"`
	Served  reading.Reading `json:"served"`
	Refused reading.Reading `json:"refused"`
	// Latency is the increase of the application's latency histogram over the
	// last window; nil if unknown, and then LatencyReason says why.
	Latency       *Increase `json:"latency,omitempty"`
	LatencyReason string    `json:"latency_reason,omitempty"`
	// Quiet says that a proxy saw no request in that window that Latency is of, and
	// has none in hand: that nothing was measured is then no sign of anything.
	Quiet bool `json:"quiet,omitempty"`
	// SpoolDepth is how many accepted messages wait in the cell's spool.
	SpoolDepth reading.Reading `json:"spool_depth"`
	// Spools is that by topic; nil where the cell has no spool.
	Spools map[string]int `json:"spools,omitempty"`
	// Adopted is the same of spools that cells which are gone have left, and that this
	// one sends, by cell and topic. They count neither in SpoolDepth nor in Spools.
	Adopted map[string]map[string]int `json:"adopted,omitempty"`
	// Database is how the cell's database fares; nil where the cell is none.
	Database *Database `json:"database,omitempty"`
}

// SpoolTotal is how many messages wait in the cell's spool, for all topics.
func (v Vitals) SpoolTotal() int {
	n := 0
	for _, depth := range v.Spools {
		n += depth
	}
	return n
}

// Idle says whether the cell is known to have nothing in hand: an unknown
// number in flight is not idle.
func (v Vitals) Idle() bool {
	return v.InFlight.Known && v.InFlight.Value == 0 &&
		(!v.SpoolDepth.Known || v.SpoolDepth.Value == 0)
}

// check says what is wrong with vitals that came from elsewhere.
func (v *Vitals) check() error {
	if v.Cell == "" || v.Incarnation == "" {
		return errors.New("vitals name no cell")
	}
	if v.Age < 0 {
		return fmt.Errorf("vitals are %v old", v.Age)
	}
	for what, r := range v.readings() {
		if r.Known && r.Value < 0 {
			return fmt.Errorf("vitals give a %s of %g", what, r.Value)
		}
	}
	for _, spools := range append(slices.Collect(maps.Values(v.Adopted)), v.Spools) {
		for topic, depth := range spools {
			if depth < 0 {
				return fmt.Errorf("vitals give a spool depth of %d for topic %q", depth, topic)
			}
		}
	}
	if v.Busy.Known && v.Busy.Value > 1 {
		return fmt.Errorf("vitals give a busy share of %g", v.Busy.Value)
	}
	if v.Database != nil && v.Database.Room.Known && v.Database.Room.Value > 1 {
		return fmt.Errorf("vitals give a database's room of %g", v.Database.Room.Value)
	}
	if v.Latency != nil {
		return v.Latency.check()
	}
	return nil
}

// readings are all of the vitals, by what they are called.
func (v *Vitals) readings() map[string]*reading.Reading {
	all := map[string]*reading.Reading{
		"in flight": &v.InFlight, "busy share": &v.Busy, "offered rate": &v.Offered,
		"served rate": &v.Served, "refused rate": &v.Refused, "spool depth": &v.SpoolDepth,
	}
	if v.Database != nil {
		maps.Copy(all, v.Database.readings())
	}
	return all
}

// DecodeVitals reads the vitals of a cell and checks that they can be true.
// What was measured is put at the given instant less the vitals' age.
func DecodeVitals(r io.Reader, now time.Time) (Vitals, error) {
	var v Vitals
	d := json.NewDecoder(r)
	if err := d.Decode(&v); err != nil {
		return Vitals{}, fmt.Errorf("decode vitals: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Vitals{}, errors.New("decode vitals: more follows after them")
	}
	if err := v.check(); err != nil {
		return Vitals{}, fmt.Errorf("check vitals: %w", err)
	}
	v.At = now.Add(-v.Age)
	for _, r := range v.readings() {
		r.At = v.At
	}
	return v, nil
}
