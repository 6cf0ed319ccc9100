package policy

import (
	"slices"
	"strings"
	"time"
)

// law checks the constants of the law against each other.
func (d *decoder) law(s *Service) {
	l := &s.Law
	d.inOrder(&l.TrendMin, &l.TrendMax)
	d.inOrder(&s.Beat, &l.NeedWindow)
	d.inOrderNumbers(&l.LevelLow, &l.LevelHigh)
	d.inOrderNumbers(&l.CorrectionMin, &l.CorrectionMax)
	// A correction that may not reach what is expected at first would never be learned:
	// with a most of 1 three times as many requests are slow (decision 027).
	d.inOrderNumbers(&l.PriorRatio, &l.CorrectionMax)
	d.inOrderNumbers(&l.WeightMin, &l.WeightMax)
	d.lookBacks(l)
	d.windows(s)
}

// MostBeats is how many beats the law keeps of what it has seen.
const MostBeats = 3600

// windows refuses what is longer than the law remembers, and so would be cut
// without a word. At beats of less than a second the defaults are cut, and nobody
// asked for more.
func (d *decoder) windows(s *Service) {
	most := MostBeats * s.Beat
	refuse := func(ptr any, window time.Duration) {
		if d.sound(ptr, &s.Beat) && d.written(ptr) && window > most {
			d.refuse("Longer than is remembered", ptr, "is %s: the law keeps %d beats, which are %s at a beat of %s. Shorten it, or lengthen beat.",
				short(window), MostBeats, short(most), short(s.Beat))
		}
	}
	l := &s.Law
	for _, ptr := range []*time.Duration{&l.NeedWindow, &l.TrendMax, &l.RateWindow, &l.ReleaseIdle, &l.ReleaseWindow} {
		refuse(ptr, *ptr)
	}
	if len(l.LookBacks) > 0 {
		refuse(&l.LookBacks, slices.Max(l.LookBacks))
	}
}

func (d *decoder) lookBacks(l *Law) {
	if !d.sound(&l.LookBacks, &l.FirstLookBack) {
		return
	}
	rising := slices.IsSortedFunc(l.LookBacks, func(a, b time.Duration) int {
		if a == b {
			return 1 // twice the same is not rising
		}
		return int(a - b)
	})
	switch {
	case len(l.LookBacks) == 0:
		d.refuse("Empty value", &l.LookBacks, "must name at least one duration.")
	case !rising:
		d.refuse("Not in order", &l.LookBacks, "must rise: each look-back longer than the one before.")
	case !slices.Contains(l.LookBacks, l.FirstLookBack):
		d.add("No such choice", d.at(&l.FirstLookBack, &l.LookBacks), "%s is %s%s, which is none of look_backs: %s.",
			d.names[&l.FirstLookBack], short(l.FirstLookBack), d.unsaid(&l.FirstLookBack), durations(l.LookBacks))
	}
}

func durations(list []time.Duration) string {
	var s []string
	for _, d := range list {
		s = append(s, short(d))
	}
	return strings.Join(s, ", ")
}

func (d *decoder) inOrderNumbers(low, high *float64) {
	if d.sound(low, high) && *low > *high {
		d.add("Bounds the wrong way round", d.at(low, high), "%s is %g%s and must not be above %s, which is %g%s.",
			d.names[low], *low, d.unsaid(low), d.names[high], *high, d.unsaid(high))
	}
}
