// Package reading holds the one value type that the rooms which measure and
// the rooms which decide have in common: a number that is known, or the reason
// why it is not.
//
// It leaves out how a value is obtained and what is done without it. Unknown
// is a state of its own and never a number: the zero Reading is unknown.
package reading

import (
	"fmt"
	"math"
	"time"
)

// Reading is one measured value at one instant.
type Reading struct {
	// Value is meaningful only when Known. Its unit is the owner's to say.
	Value float64 `json:"value,omitempty"`
	Known bool    `json:"known"`
	// Reason says why the value is unknown, as a short phrase for a person.
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// Of returns a known reading. A value that is no number, or infinite, is not a
// measurement: it comes back unknown.
func Of(value float64, at time.Time) Reading {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return Reading{Reason: fmt.Sprintf("measured as %v", value), At: at}
	}
	return Reading{Value: value, Known: true, At: at}
}

// Unknown returns a reading without a value and the reason for that.
func Unknown(format string, args ...any) Reading {
	return Reading{Reason: fmt.Sprintf(format, args...)}
}

// String prints the value, or why there is none.
func (r Reading) String() string {
	switch {
	case r.Known:
		return fmt.Sprintf("%g", r.Value)
	case r.Reason == "":
		return "unknown (never measured)"
	default:
		return "unknown (" + r.Reason + ")"
	}
}
