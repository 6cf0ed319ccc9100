package balance

import (
	"math"
	"time"
)

// timing is how far ahead a decision must look: a birth, in seconds; the beats
// until an order placed now serves; the beats that it then answers for.
type timing struct {
	birth      float64
	lead, duty int
}

// timing takes the measured births, or the policy's word before the first.
func (c *Config) timing(o *Observation) timing {
	b := c.Beat.Seconds()
	t := timing{birth: max(valueOr(o.BirthMedian, c.BirthTime.Seconds()), b), duty: 1}
	t.birth = min(t.birth, mostLead*b)
	t.lead = int(math.Ceil(t.birth/b)) + 1
	if c.Serial {
		t.duty = max(1, int(math.Floor((c.Law.Duty*t.birth+b)/b)))
	}
	return t
}

// answers is how many beats before the newest forecast that one was made whose
// order serves from the first of the last duty beats on, at a beat whose own
// forecast is still to be made.
func (t timing) answers() int { return t.lead + t.duty - 2 }

// seconds is the duration of a number of seconds, within what one can hold.
func seconds(s float64) time.Duration {
	return time.Duration(clamp(s, 0, mostSeconds) * float64(time.Second))
}
