package front

import (
	"math"
	"time"
)

// Errors are mostly quick, so a cell that answers nothing else has few requests in
// flight and would draw those of the others. They don't set a cell aside as failures do:
// a client that finds the one page that fails could have cell after cell left alone.
// Instead a cell is weighed by how many tries a good answer takes there.
const (
	// erredLeast and erredMost bound what one answer weighs in the share of errors: many
	// in a short time are needed to be believed, and after a rest at least three.
	erredLeast, erredMost = 0.05, 0.3
	// triesMost is what a cell that only errs is weighed by.
	triesMost = 1000
)

// Erred notes an error of the application's own, a status from 500 on that isn't told
// by Failed.
func (c *Chooser) Erred(now time.Time, id string) {
	if one := c.cells[id]; one != nil {
		one.hear()
		c.judge(one, now, 1)
	}
}

// judge takes an answer into the share of errors: 1 for one, 0 for a good one.
func (c *Chooser) judge(one *cell, now time.Time, erred float64) {
	weight := erredMost
	if !one.judged.IsZero() {
		weight = min(max(1-math.Exp(-now.Sub(one.judged).Seconds()/c.rule.LoadMemory.Seconds()), erredLeast), erredMost)
	}
	one.erred = c.erring(one, now)
	one.erred += weight * (erred - one.erred)
	one.judged = now
}

// erring is the share of errors in a cell's answers, 0 to 1. It wanes while none comes,
// so that the cell is tried again.
func (c *Chooser) erring(one *cell, now time.Time) float64 {
	if one.erred == 0 {
		return 0
	}
	return one.erred * math.Exp(-now.Sub(one.judged).Seconds()/c.rule.LatencyMemory.Seconds())
}

// tries is how many requests a good answer takes, where that share of answers are errors.
func tries(erring float64) float64 { return 1 / max(1-erring, 1.0/triesMost) }

// tooManyErrors reports whether a cell's own clients should leave it: it errs much more
// than is usual, so that it isn't what they ask for.
func (c *Chooser) tooManyErrors(v view) bool {
	return v.erring > (1+c.errors.quantile(0.5))/2
}

// wait is how long a good answer takes there, in seconds, errors before it included.
func (v view) wait() float64 { return v.latency * tries(v.erring) }

// crowd is how many requests would be in flight, one more included, if errors took as
// long as good answers do.
func (v view) crowd() float64 { return (v.inFlight + 1) * tries(v.erring) }
