package picture

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// valueTicks are round numbers from 0 on, and how far the axis reaches.
func valueTicks(highest, height float64) ([]float64, float64) {
	if !(highest > 0) {
		highest = 1
	}
	about := max(2, math.Floor((height+4)/28)) // so many fit
	step := roundUp(highest / about)
	most := math.Ceil(highest/step-1e-9) * step
	var ticks []float64
	for i := 0; float64(i)*step <= most*(1+1e-9); i++ {
		ticks = append(ticks, float64(i)*step)
	}
	return ticks, most
}

// roundUp is the next number of 1, 2 or 5 times a power of ten.
func roundUp(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// figure writes a number of an axis: 0.5, 20, 1.5k, 2M.
func figure(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return trim(v/unit.size) + unit.name
		}
	}
	return trim(v)
}

func trim(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// timeSteps are the distances between two marks of time that people can read.
var timeSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	day, 2 * day, 7 * day, 14 * day, 28 * day, 56 * day,
}

const day = 24 * time.Hour

// timeTick is a mark of the time axis, at this share of its length.
type timeTick struct {
	share float64
	text  string
}

// times are the marks of the panel's time axis.
func (p Panel) times(width float64) []timeTick {
	const room = 72 // pixels that a mark needs
	span := time.Duration(p.values()) * p.Step
	if span <= 0 {
		return nil
	}
	most := max(1, int(width/room))
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if span/s <= time.Duration(most) {
			step = s
			break
		}
	}
	first := time.Duration(0)
	if !p.Start.IsZero() {
		first = p.Start.Truncate(step).Sub(p.Start)
		if first < 0 {
			first += step
		}
	}
	var ticks []timeTick
	for at := first; at <= span && len(ticks) < 100; at += step {
		ticks = append(ticks, timeTick{float64(at) / float64(span), p.timeText(at, step)})
	}
	return ticks
}

// timeText is the time of day, with the date at midnight; or how long after the
// beginning.
func (p Panel) timeText(at, step time.Duration) string {
	if p.Start.IsZero() {
		return since(at)
	}
	t := p.Start.Add(at)
	switch {
	case step >= day || t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0:
		return t.Format("2 Jan")
	case step < time.Minute:
		return t.Format("15:04:05")
	}
	return t.Format("15:04")
}

// since writes how long after the beginning: 90 s, 1 h 30, 2 d.
func since(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < 2*time.Minute:
		return trim(d.Seconds()) + " s"
	case d < time.Hour:
		return withRest(d, time.Minute, time.Second, "min")
	case d < day:
		return withRest(d, time.Hour, time.Minute, "h")
	}
	return withRest(d, day, time.Hour, "d")
}

func withRest(d, unit, part time.Duration, name string) string {
	text := fmt.Sprintf("%d %s %02d", d/unit, name, d%unit/part)
	return strings.TrimSuffix(text, " 00")
}
