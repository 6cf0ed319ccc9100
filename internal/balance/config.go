package balance

import (
	"math"
	"reflect"
	"time"
)

// MostBeats is the longest window of beats that the law keeps: 5 h at 5 s.
const MostBeats = 3600

// Limits that keep a state small and a sum finite, whatever the policy says.
const (
	shortestBeat = 100 * time.Millisecond
	mostCount    = 1e9 // of beats that are only counted
	mostLead     = 720 // beats that a forecast may look ahead: an hour at 5 s
	mostLooks    = 8
	mostCells    = 1e6
	mostRate     = 1e12 // per second, and messages
	mostSeconds  = 1e7
)

// filled returns the configuration with every default in its place and every
// value in its range, so that the law need not ask again.
func (c Config) filled() Config {
	c.Law = c.Law.filled()
	c.Beat = max(or(c.Beat, 5*time.Second), shortestBeat)
	c.WaitBound = or(c.WaitBound, 30*time.Second)
	c.BirthTime = or(c.BirthTime, time.Minute)
	c.PairWait = or(c.PairWait, 10*time.Minute)
	c.Min = clamp(c.Min, 0, mostCells)
	c.Max = clamp(c.Max, c.Min, mostCells)
	c.ConsumersPerCell = max(c.ConsumersPerCell, 1)
	if c.FlapBudget == 0 {
		c.FlapBudget = 12
	}
	if !(c.Upper > 0 && c.Upper <= 1) {
		c.Upper = c.Law.Utilization
		if c.Requests {
			c.Upper = c.Law.RequestUtilization
		}
	}
	return c
}

// filled puts the default in place of every field that isn't positive.
func (l Law) filled() Law {
	def := reflect.ValueOf(DefaultLaw())
	v := reflect.ValueOf(&l).Elem()
	for i := range v.NumField() {
		if !positive(v.Field(i)) {
			v.Field(i).Set(def.Field(i))
		}
	}
	l.Price = clamp(l.Price, 0.5, 0.999)
	l.Utilization = clamp(l.Utilization, 0.05, 1)
	l.RequestUtilization = clamp(l.RequestUtilization, 0.05, 1)
	l.LookBacks = l.LookBacks[:min(len(l.LookBacks), mostLooks)]
	return l
}

func positive(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Float64:
		return v.Float() > 0 && !math.IsInf(v.Float(), 1)
	case reflect.Int64:
		return v.Int() > 0
	default: // the look-backs
		for i := range v.Len() {
			if v.Index(i).Int() <= 0 {
				return false
			}
		}
		return v.Len() > 0
	}
}

// beats returns how many beats d lasts, rounded up, at least 1.
func (c *Config) beats(d time.Duration) int {
	n := (d + c.Beat - 1) / c.Beat
	return int(clamp(n, 1, mostCount))
}

// window is the same of what is kept beat by beat, and so has a limit: a policy
// that asks for more is refused before it comes here.
func (c *Config) window(d time.Duration) int { return min(c.beats(d), MostBeats) }

// or returns v, or def where v isn't positive.
func or[T ~int64](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

func clamp[T ~int | ~int64 | ~float64](v, low, high T) T {
	return max(low, min(v, high))
}
