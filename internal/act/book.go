package act

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// remembered is how many births the book looks back on. 32 is enough for a
// median and short enough to follow a change of image or machine.
const remembered = 32

// Book keeps count of births, from order to passing and each by itself, and of
// those that failed. It has no clock: times come in with each call. It is
// serialised as JSON and is not safe for concurrent use.
type Book struct {
	Births []time.Duration         `json:"births,omitempty"` // the last ones, oldest first
	Open   map[guard.Key]time.Time `json:"open,omitempty"`   // ordered, neither landed nor failed
	// Failures counts failed rounds in a row: births ordered together that fail
	// together are one round. Alike counts those of the same cause.
	Failures int       `json:"failures,omitempty"`
	Alike    int       `json:"alike,omitempty"`
	Cause    string    `json:"cause,omitempty"`
	FailedAt time.Time `json:"failed_at,omitzero"`
	Until    time.Time `json:"until,omitzero"` // no birth is ordered before this
}

// Backoff says how failing births are slowed.
type Backoff struct {
	Min, Max   time.Duration // the first wait and the longest, before jitter; it doubles in between
	TrialAfter int           // after so many rounds alike, one birth at a time
}

// Ordered notes that a cell was ordered.
func (b *Book) Ordered(k guard.Key, at time.Time) {
	if b.Open == nil {
		b.Open = make(map[guard.Key]time.Time)
	}
	b.Open[k] = at
}

// Landed notes that an ordered cell passes its check, and tells how long its
// birth took. A success ends the backoff. Cells that were not open, such as
// those of an earlier leader, are not measured.
func (b *Book) Landed(k guard.Key, at time.Time) (time.Duration, bool) {
	ordered, open := b.Open[k]
	if !open {
		return 0, false
	}
	delete(b.Open, k)
	took := max(0, at.Sub(ordered)) // a clock set back makes no negative birth
	b.Births = append(b.Births, took)
	if over := len(b.Births) - remembered; over > 0 {
		b.Births = slices.Delete(b.Births, 0, over)
	}
	b.Failures, b.Alike, b.Cause, b.FailedAt, b.Until = 0, 0, "", time.Time{}, time.Time{}
	return took, true
}

// Withdrawn forgets a cell that was taken back before it landed.
func (b *Book) Withdrawn(k guard.Key) { delete(b.Open, k) }

// Only forgets all open births but these: whether an order was written down or
// not can be lost, and one that nobody orders any more never lands.
func (b *Book) Only(ordered []guard.Key) {
	maps.DeleteFunc(b.Open, func(k guard.Key, _ time.Time) bool { return !slices.Contains(ordered, k) })
}

// Failed notes that a birth failed, with its cause in a few stable words, by
// which failures are found alike. jitter in [0,1) comes from outside and makes
// the wait up to a quarter longer, so that services that failed together don't
// try together again.
func (b *Book) Failed(k guard.Key, cause string, at time.Time, wait Backoff, jitter float64) {
	ordered, open := b.Open[k]
	delete(b.Open, k)
	if open && !b.FailedAt.IsZero() && ordered.Before(b.FailedAt) {
		return // of a round that was counted
	}
	b.Failures++
	if cause == b.Cause {
		b.Alike++
	} else {
		b.Cause, b.Alike = cause, 1
	}
	b.FailedAt = at
	b.Until = at.Add(wait.after(b.Failures, jitter))
}

// after is the wait behind the nth failure in a row: Min·2ⁿ⁻¹ up to Max, and
// jitter/4 of that on top.
func (w Backoff) after(n int, jitter float64) time.Duration {
	full := float64(w.Min) * math.Pow(2, float64(n-1))
	full = math.Min(full, float64(w.Max))
	jitter = math.Max(0, math.Min(jitter, 1))
	return time.Duration(full * (1 + jitter/4))
}

// Wait tells how long the backoff still holds, 0 if it doesn't. An order that
// was placed before and is only being carried on asks this, as its own births
// are the open ones.
func (b *Book) Wait(now time.Time) time.Duration { return max(0, b.Until.Sub(now)) }

// Allowed tells how many of the wanted births may be ordered now, and if fewer,
// how long until that may change; 0 means when an open birth lands or fails.
func (b *Book) Allowed(want int, now time.Time, wait Backoff) (n int, in time.Duration) {
	switch {
	case want <= 0:
		return 0, 0
	case now.Before(b.Until):
		return 0, b.Until.Sub(now)
	case wait.TrialAfter <= 0 || b.Alike < wait.TrialAfter:
		return want, 0
	case len(b.Open) > 0:
		return 0, 0
	}
	return 1, 0
}

// Median is the middle of the births remembered; false if there are none.
func (b *Book) Median() (time.Duration, bool) {
	if len(b.Births) == 0 {
		return 0, false
	}
	s := slices.Sorted(slices.Values(b.Births))
	mid := len(s) / 2
	if len(s)%2 == 0 {
		return s[mid-1] + (s[mid]-s[mid-1])/2, true
	}
	return s[mid], true
}
