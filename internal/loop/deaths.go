package loop

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// verdict says which cells are dead, and which silent ones are left alone.
type verdict struct {
	Dead []string
	// Why maps a dead cell to what it died of, as far as can be told; Held a
	// silent cell that isn't declared dead to the reason for that.
	Why, Held map[string]string
}

// deathWatch declares cells dead: slowly when it can't be sure, at once when
// the cell is proven gone. It remembers since when each cell has been silent.
//
//	heard --silent--> suspected --After, doesn't answer--> dead
//	          ^            |
//	          +--heard-----+--proven gone, or removed by hand--> dead at once
//
// Many cells that go silent together look like a fault of the network or of
// Consul, so nothing is declared for MassHold, those proven gone excepted.
type deathWatch struct {
	After    time.Duration
	MassHold time.Duration

	silentSince map[string]time.Time
	massSince   time.Time
}

// judge takes the signs of every cell of the record at one instant. fresh says
// that the leader has just proven its own session: without that the silence
// may be the leader's own. pace is how many may be declared dead at most.
func (w *deathWatch) judge(now time.Time, signs []sign, fresh bool, pace int) verdict {
	w.remember(now, signs)
	v := verdict{Why: map[string]string{}, Held: map[string]string{}}
	mass := w.mass(now, len(signs))
	for _, s := range w.oldestFirst(signs) {
		why := w.hold(now, s, fresh, mass)
		if why == "" && len(v.Dead) >= pace {
			why = fmt.Sprintf("%d replaced at a time", pace)
		}
		if why == "" {
			v.Dead = append(v.Dead, s.Name)
			v.Why[s.Name] = s.why()
			continue
		}
		v.Held[s.Name] = why
	}
	return v
}

// silent lists the cells that are not heard.
func (w *deathWatch) silent() []string { return slices.Sorted(maps.Keys(w.silentSince)) }

// hold returns why a silent cell isn't declared dead now, or nothing.
func (w *deathWatch) hold(now time.Time, s sign, fresh, mass bool) string {
	since := now.Sub(w.silentSince[s.Name])
	switch {
	case !fresh:
		return "the leader's own session is not proven"
	case s.Answers:
		return s.Silent + ", but its own address answers: Consul is what is sick"
	case s.Removed, s.Gone:
		return ""
	case since < w.After:
		return fmt.Sprintf("%s for %s of %s", s.Silent, since.Round(time.Second), w.After)
	case s.Unasked && since < w.MassHold:
		return s.Silent + ", and where its sidecar could be asked isn't known: it may register again"
	case mass:
		return fmt.Sprintf("%d cells went silent together: none is replaced for %s", len(w.silentSince), w.MassHold)
	default:
		return ""
	}
}

// remember updates since when each cell has been silent, and forgets cells
// that are heard again or no longer in the record.
func (w *deathWatch) remember(now time.Time, signs []sign) {
	next := make(map[string]time.Time, len(signs))
	for _, s := range signs {
		if s.Silent == "" {
			continue
		}
		since, known := w.silentSince[s.Name]
		if !known || s.Answers {
			// One that answers isn't silent itself, whatever Consul says of it: the
			// first answer it misses is the beginning.
			since = now
		}
		next[s.Name] = since
	}
	w.silentSince = next
}

// mass reports whether so many cells are silent that it must be taken for one
// fault rather than many, and its time to wait isn't over.
func (w *deathWatch) mass(now time.Time, cells int) bool {
	if len(w.silentSince) < 3 || 3*len(w.silentSince) <= cells {
		w.massSince = time.Time{}
		return false
	}
	if w.massSince.IsZero() {
		w.massSince = now
	}
	return now.Sub(w.massSince) < w.MassHold
}

// oldestFirst returns the silent cells, longest silence first, so that the
// pace is spent on those most surely dead.
func (w *deathWatch) oldestFirst(signs []sign) []sign {
	silent := slices.DeleteFunc(slices.Clone(signs), func(s sign) bool { return s.Silent == "" })
	slices.SortStableFunc(silent, func(a, b sign) int {
		return w.silentSince[a.Name].Compare(w.silentSince[b.Name])
	})
	return silent
}

// replacePace is how many cells may be replaced at the same time: one, or a
// tenth of the service.
func replacePace(cells int) int { return max(1, cells/10) }
