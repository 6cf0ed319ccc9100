package balance

import "math"

// need returns the rate that must be served so that no burst of the last
// minutes would queue longer than the bound allows: the largest A(w)/(w+S)
// over windows w of one beat, two, four and so on, A(w) what arrived in the
// last w seconds, S the part of the wait bound a burst may use. It is the
// least capacity under which the arrivals fit (network calculus: an arrival
// curve against a constant service with delay S).
func (m *memory) need(c *Config) float64 {
	var sum, most float64
	last := len(m.Offered) - 1
	window := 1
	for n := 1; n <= len(m.Offered) && n <= c.window(c.Law.NeedWindow); n++ {
		sum += float64(m.Offered[last-n+1])
		if n == window {
			w := float64(n) * c.Beat.Seconds()
			most = max(most, sum*c.Beat.Seconds()/(w+c.burst()))
			window *= 2
		}
	}
	return most
}

// burst is S, the seconds for which the queue may hold a burst.
func (c *Config) burst() float64 { return c.Law.BurstShare * c.WaitBound.Seconds() }

// trend returns the rate that a significant and continuing rise leads to by
// the time an order has landed, or 0. Two windows are compared, each half a
// birth long; a step is no trend, since after it the two halves of the newest
// window are alike.
func (m *memory) trend(c *Config, t timing, need float64) float64 {
	n := c.trendWindow(t)
	if len(m.Offered) < 2*n || n < 2 {
		return 0
	}
	newest, before := m.Offered[len(m.Offered)-n:], m.Offered[len(m.Offered)-2*n:len(m.Offered)-n]
	m1, m0 := newest.mean(), before.mean()
	if m1 <= m0 || m1-m0 <= c.Law.TrendErrors*standardError(newest, before, m1, m0) {
		return 0
	}
	if isStep(m.Offered[len(m.Offered)-2*n:], c.Law.StepShare) {
		return 0
	}
	b := c.Beat.Seconds()
	tau := float64(n) * b
	half := newest[n-n/2:].mean() - newest[:n/2].mean()
	slope := max(0, min((m1-m0)/tau, half/(tau/2)))
	ahead := (float64(t.lead)+float64(t.duty)/2)*b + tau/2
	return min(m1+c.Law.TrendLead*slope*ahead, c.Law.TrendCap*need)
}

// trendWindow is tau in beats.
func (c *Config) trendWindow(t timing) int {
	return c.window(clamp(seconds(t.birth/2), c.Law.TrendMin, c.Law.TrendMax))
}

// standardError is that of the difference of two means of as many beats.
func standardError(a, b series, meanA, meanB float64) float64 {
	n := float64(len(a))
	pooled := math.Sqrt((a.squares(meanA) + b.squares(meanB)) / (2*n - 2))
	return pooled * math.Sqrt(2/n)
}

func (s series) mean() float64 {
	sum := 0.0
	for _, v := range s {
		sum += float64(v)
	}
	return sum / float64(len(s))
}

func (s series) squares(mean float64) float64 {
	sum := 0.0
	for _, v := range s {
		d := float64(v) - mean
		sum += d * d
	}
	return sum
}
