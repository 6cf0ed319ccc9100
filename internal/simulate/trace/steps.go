package trace

import (
	"math"
	"slices"
	"time"
)

// series makes steps of the rows.
func (r *reading) series() (*Series, error) {
	if err := r.sorted(); err != nil {
		return nil, err
	}
	if err := r.cut(); err != nil {
		return nil, err
	}
	step, err := r.findStep()
	if err != nil {
		return nil, err
	}
	if r.unit == Total {
		if err := r.differences(int64(step)); err != nil {
			return nil, err
		}
	}
	s := &Series{Start: time.Unix(0, r.rows[0].at).UTC(), Dated: r.clock.dated, Step: step}
	if s.Counts, err = r.counts(int64(step)); err != nil {
		return nil, err
	}
	if r.unit == PerSecond {
		for i := range s.Counts {
			s.Counts[i] *= step.Seconds()
		}
	}
	if err := r.fill(s); err != nil {
		return nil, err
	}
	s.Notes = r.notes
	return s, nil
}

// findStep is the most frequent distance of two rows, the shortest one of those
// that are equally frequent.
func (r *reading) findStep() (time.Duration, error) {
	if r.requests {
		return r.step(), nil
	}
	step := r.options.Step
	if step == 0 {
		step, _ = usual(r.rows)
		step = step.Round(time.Second)
	}
	if step < time.Second {
		return 0, r.wrong(0, "say -rows requests if each row is a request; else export steps of a second or more, or say -step", "rows follow each other in less than a second")
	}
	return step, nil
}

// usual is the most frequent distance of two rows in order of time, and which
// share of the distances it is.
func usual(rows []row) (time.Duration, float64) {
	const enough = 100_000 // rows show what is usual
	rows = rows[:min(len(rows), enough)]
	times := map[int64]int{}
	for i := 1; i < len(rows); i++ {
		times[rows[i].at-rows[i-1].at]++
	}
	var best int64
	for d, n := range times {
		if d > 0 && (n > times[best] || n == times[best] && d < best || best == 0) {
			best = d
		}
	}
	return time.Duration(best), float64(times[best]) / float64(max(len(rows)-1, 1))
}

// differences turns the values of a counter into rates per second. One that falls
// began anew, and what it has since then is what came, as Prometheus has it.
func (r *reading) differences(step int64) error {
	r.rows = slices.DeleteFunc(r.rows, func(x row) bool { return math.IsNaN(x.value) })
	r.unit = PerSecond
	var rates []row
	for i := 1; i < len(r.rows); i++ {
		from, to := r.rows[i-1], r.rows[i]
		rise := to.value - from.value
		if rise < 0 {
			rise = to.value
		}
		// What came while no row was written came evenly, for all that is known.
		lasts := to.at - from.at
		if lasts/step >= int64(r.bound-len(rates)) {
			return r.wrong(to.line, "cut it with -from and -to, or say a longer -step", "more than %d steps of %s", r.bound, short(time.Duration(step)))
		}
		for at := from.at; at == from.at || to.at-at >= step/2; at += step {
			rates = append(rates, row{at: at, value: rise / time.Duration(lasts).Seconds(), line: to.line})
		}
	}
	r.rows = rates
	return nil
}

// counts lays the rows out over steps, NaN where no row is.
func (r *reading) counts(step int64) ([]float64, error) {
	if len(r.rows) == 0 {
		return nil, r.wrong(0, "look at what wrote it", "it holds fewer than two rows with a number")
	}
	first, last := r.rows[0], r.rows[len(r.rows)-1]
	if lasts := time.Duration(last.at - first.at); lasts < 0 || lasts > MostTime {
		return nil, r.wrong(last.line, "cut it with -from and -to", "it lasts from %s to %s, longer than %d days", r.clock.say(first.at), r.clock.say(last.at), MostTime/(24*time.Hour))
	}
	counts := make([]float64, int((last.at-first.at+step/2)/step)+1)
	var rows []int32 // of a step, where they are rates, whose mean counts
	if r.unit == PerSecond {
		rows = make([]int32, len(counts))
	}
	if !r.requests {
		for i := range counts {
			counts[i] = math.NaN()
		}
	}
	for _, x := range r.rows {
		i := min(int((x.at-first.at+step/2)/step), len(counts)-1)
		switch {
		case math.IsNaN(x.value):
			continue
		case math.IsNaN(counts[i]):
			counts[i] = x.value
		default:
			counts[i] += x.value
		}
		if rows != nil {
			rows[i]++
		}
	}
	for i, n := range rows {
		if n > 1 {
			counts[i] /= float64(n)
		}
	}
	return counts, nil
}

// fill puts numbers where no row is.
func (r *reading) fill(s *Series) error {
	known := func(c float64) bool { return !math.IsNaN(c) }
	first := slices.IndexFunc(s.Counts, known)
	if first < 0 {
		return r.wrong(0, "look at what wrote it", "no row of it has a number")
	}
	last := len(s.Counts) - 1
	for !known(s.Counts[last]) {
		last--
	}
	s.Start = s.Start.Add(time.Duration(first) * s.Step)
	s.Counts = s.Counts[first : last+1]
	if len(s.Counts) < 2 {
		return r.wrong(0, "look at what wrote it, or count into shorter steps with -step", "it holds fewer than two steps with a number")
	}
	gaps := findGaps(s.Counts)
	if len(gaps) == 0 {
		return nil
	}
	return r.mend(s, gaps)
}

// gap is a run of steps without a row, from one index to before another.
type gap struct{ from, to int }

func findGaps(counts []float64) []gap {
	var gaps []gap
	for i := 0; i < len(counts); i++ {
		if !math.IsNaN(counts[i]) {
			continue
		}
		g := gap{from: i}
		for math.IsNaN(counts[i]) { // the last count is known
			i++
		}
		g.to = i
		gaps = append(gaps, g)
	}
	return gaps
}

// mend fills the gaps as the options say.
func (r *reading) mend(s *Series, gaps []gap) error {
	missing, longest := 0, gaps[0]
	for _, g := range gaps {
		missing += g.to - g.from
		if g.to-g.from > longest.to-longest.from {
			longest = g
		}
	}
	at := r.clock.say(s.Start.Add(time.Duration(longest.from) * s.Step).UnixNano())
	lasts := time.Duration(longest.to-longest.from) * s.Step
	how := r.options.Gaps
	switch {
	case how == GapError:
		return r.wrong(0, "say -gaps line, zero or close", "rows missing: %d of %d, the longest gap %s from %s", missing, len(s.Counts), short(lasts), at)
	case how == "" && missing > len(s.Counts)/2:
		return r.wrong(0, "say -gaps zero if a missing row means no request, -gaps line if nobody counted, or -step if rows stand for longer",
			"rows missing: %d of %d, if a row is %s", missing, len(s.Counts), short(s.Step))
	case how == GapZero:
		how = "taken as no load"
	case how == GapClose:
		how = "the rows around them are taken as following each other"
	default:
		how = "drawn as a straight line"
	}
	r.note("rows missing: %d of %d, the longest gap %s from %s; %s", missing, len(s.Counts), short(lasts), at, how)
	if r.options.Gaps == GapClose {
		s.Counts = slices.DeleteFunc(s.Counts, math.IsNaN)
		return nil
	}
	for _, g := range gaps {
		from, to := s.Counts[g.from-1], s.Counts[g.to]
		for i := g.from; i < g.to; i++ {
			s.Counts[i] = 0
			if r.options.Gaps != GapZero {
				s.Counts[i] = from + (to-from)*float64(i-g.from+1)/float64(g.to-g.from+1)
			}
		}
	}
	return nil
}
