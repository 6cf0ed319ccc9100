package balance

import (
	"fmt"
	"math"
	"time"
)

// Scheduled says what of Config.Min and Config.Max changes with the time. The law
// itself has no clock and no calendar: who calls it computes the bounds from the
// time and says here whose they are, so that a decision can name it.
type Scheduled struct {
	// Moves says that Max may fall by itself. Cells above it are then released in
	// steps, each of at most 1 - Law.ReleaseKeep of them; otherwise, where a person
	// has lowered it, at once. Neither waits for load or readings: bounds are kept.
	Moves bool
	// MinBy and MaxBy name the schedules that set the two bounds; empty where they
	// are the policy's own.
	MinBy, MaxBy string
	// MinFrom is when the schedule of MinBy begins, where its min counts ahead of
	// that, so that the cells are there by then; zero otherwise.
	MinFrom time.Time
}

// downToMax is the count to go to where more are ordered than the policy's max.
func (c *Config) downToMax(ordered int) int {
	if !c.Scheduled.Moves {
		return c.policyMax
	}
	return c.stepTo(c.policyMax, ordered)
}

// stepTo is one step down to a bound.
func (c *Config) stepTo(bound, ordered int) int {
	keep := int(math.Ceil(c.Law.ReleaseKeep * float64(ordered)))
	return min(max(bound, keep), max(bound, ordered-1))
}

// bound names a cap as decisions do: max, or max of schedule "night".
func (c *Config) bound(capped string) string {
	if capped == "max" && c.ceilingBy != "" {
		return "ceiling asked for by " + c.ceilingBy
	}
	by := map[string]string{"min": c.Scheduled.MinBy, "max": c.Scheduled.MaxBy}[capped]
	if by == "" {
		return capped
	}
	return fmt.Sprintf("%s of schedule %q", capped, by)
}

// least says what sets the fewest cells, and since when or before what.
func (c *Config) least() string {
	text := c.bound("min")
	if from := c.Scheduled.MinFrom; !from.IsZero() {
		text += ", which begins at " + from.Format(time.RFC3339)
	}
	return text
}

// scheduledBounds names the schedules that set the bounds, for a sentence.
func (c *Config) scheduledBounds() string {
	text := ""
	if c.Scheduled.MinBy != "" {
		text += ", " + c.least()
	}
	if c.Scheduled.MaxBy != "" || c.ceilingBy != "" {
		text += ", " + c.bound("max")
	}
	return text
}
