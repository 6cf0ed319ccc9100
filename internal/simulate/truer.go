package simulate

import (
	"math"
	"math/rand/v2"
)

// arrivals draws how many requests come in a second of this rate.
func (r *run) arrivals(rate float64) float64 {
	rate = max(0, rate*(1+r.w.LoadNoise*r.loadNoise.NormFloat64()))
	if r.w.Truer.Queueing {
		return poisson(r.loadNoise, rate)
	}
	return rate
}

// work is what the arrivals ask for, in requests of mean length. The sum of n
// exponential lengths has mean n and variance n.
func (r *run) work(arrived float64) float64 {
	if !r.w.Truer.Queueing || arrived == 0 {
		return arrived
	}
	return max(0, arrived+math.Sqrt(arrived)*r.loadNoise.NormFloat64())
}

// poisson draws from a Poisson distribution: by Knuth's product where the mean
// is small, from the normal distribution it then resembles where it isn't.
func poisson(rng *rand.Rand, rate float64) float64 {
	if rate > 50 {
		return max(0, math.Round(rate+math.Sqrt(rate)*rng.NormFloat64()))
	}
	n, product, limit := -1.0, 1.0, math.Exp(-rate)
	for product > limit || n < 0 {
		product *= rng.Float64()
		n++
	}
	return n
}

// failures draws how many of the cells of an upward order fail to be born.
func (r *run) failures(delta int) int {
	failed := 0
	if r.w.Truer.FailShare <= 0 {
		return 0
	}
	for range delta {
		if r.births.Float64() < r.w.Truer.FailShare {
			failed++
		}
	}
	return failed
}

// late draws by which factor an order takes longer than others.
func (r *run) late() float64 {
	if r.w.Truer.LateShare > 0 && r.births.Float64() < r.w.Truer.LateShare {
		return max(1, r.w.Truer.LateFactor)
	}
	return 1
}

// rateAt is what a busy cell does at a second.
func (w *World) rateAt(now int) float64 {
	if w.Truer.Drift <= 0 || w.Truer.DriftPeriod <= 0 {
		return w.CellRate
	}
	turn := float64(now) / w.Truer.DriftPeriod.Seconds()
	return w.CellRate * (1 + w.Truer.Drift*math.Sin(2*math.Pi*turn))
}

// waitsLonger is the share of requests that wait longer than seconds where n
// cells of a rate serve Poisson arrivals of exponential length: Erlang's second
// formula, and exponential waits of rate n*perCell-rate; Gross, Shortle, Thompson and
// Harris, "Fundamentals of Queueing Theory", 4th edition 2008, section 2.3.
func waitsLonger(rate float64, n int, perCell, seconds float64) float64 {
	if n <= 0 || rate >= float64(n)*perCell {
		return 1
	}
	return erlangC(rate/perCell, n) * math.Exp(-(float64(n)*perCell-rate)*seconds)
}

// erlangC is the share of requests that wait at all, for an offered load of a
// busy cells and n > a cells. By the recursion of Erlang's first formula.
func erlangC(a float64, n int) float64 {
	blocked := 1.0
	for k := 1; k <= n; k++ {
		blocked = a * blocked / (float64(k) + a*blocked)
	}
	busy := a / float64(n)
	return blocked / (1 - busy*(1-blocked))
}
