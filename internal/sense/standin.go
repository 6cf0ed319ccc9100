package sense

import (
	"context"
	"errors"
	"os"
	"time"
)

// standInShare is the largest share of the siblings asked whose last vitals may
// stand in for them. More that are silent at once are a sign of something else, and
// of a few cells the others soon carry what one that is gone had.
const standInShare = 0.1

// StandIns remembers the last vitals of each sibling, for those that don't answer
// in time: a pause of a garbage collector or a lost packet, of which a thousand
// cells have one in almost every beat. As old as that vitals may be anyway they
// count; a sum without them would not be known at all. One whose address refuses to
// be connected to is gone, and nothing stands in for it. It is not safe for
// concurrent use.
type StandIns struct {
	last map[Sibling]Vitals
}

// Fill remembers the vitals that came, and puts the last ones in the place of those
// that did not come in time, marked as Old. now is when the answers were in.
func (s *StandIns) Fill(results []Result, now time.Time, maxAge time.Duration) {
	for sib, v := range s.last {
		if now.Sub(v.At) > maxAge {
			delete(s.last, sib)
		}
	}
	var silent []int
	for i, r := range results {
		switch {
		case r.Err == nil:
			if s.last == nil {
				s.last = map[Sibling]Vitals{}
			}
			s.last[r.Sibling] = r.Vitals
		case errors.Is(r.Err, context.DeadlineExceeded), errors.Is(r.Err, os.ErrDeadlineExceeded):
			silent = append(silent, i)
		}
	}
	if float64(len(silent)) > standInShare*float64(len(results)) {
		return
	}
	for _, i := range silent {
		r := &results[i]
		if v, known := s.last[r.Sibling]; known {
			r.Vitals, r.Old, r.Err = v, r.Err, nil
			r.Vitals.Age = now.Sub(v.At)
			r.Vitals.InFlight.Value = 0 // it may be done, and what is in flight allows for lag
		}
	}
}
