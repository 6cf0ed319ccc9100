package sense

import (
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
	// Age is how long before the answer the vitals were measured. An age
	// travels between machines whose clocks disagree, an instant doesn't.
	Age time.Duration `json:"age_ns"`
	// Ready says that the cell takes load; Draining that it is to leave.
	Ready    bool `json:"ready"`
	Draining bool `json:"draining"`
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
	// SpoolDepth is how many accepted messages wait in the cell's spool.
	SpoolDepth reading.Reading `json:"spool_depth"`
}

// Idle says whether the cell is known to have nothing in hand: an unknown
// number in flight is not idle.
func (v Vitals) Idle() bool {
	return v.InFlight.Known && v.InFlight.Value == 0 &&
		(!v.SpoolDepth.Known || v.SpoolDepth.Value == 0)
}
