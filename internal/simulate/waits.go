package simulate

import "math"

// waits counts requests by their wait. The bins are what the upper sixteen bits
// of a number tell apart: sixteen to an octave, from a 64th of a second to two
// days, so that finding one costs no logarithm.
type waits struct {
	none float64 // shorter than the first bin
	bins [waitBins]float64
}

const (
	waitOctaves = 24
	waitBins    = 16*waitOctaves + 1 // the last for what is longer
	waitFirst   = (1023 - 6) << 4    // the upper bits of 2^-6
)

func (w *waits) add(wait, requests float64) {
	i := int(math.Float64bits(wait)>>48) - waitFirst
	if i < 0 {
		w.none += requests
		return
	}
	w.bins[min(i, waitBins-1)] += requests
}

// exponential adds requests of which a share waits, for times that are distributed
// exponentially at a rate per second.
func (w *waits) exponential(requests, share, rate float64) {
	longer := requests * share * math.Exp(-rate*waitEdge(0))
	w.none += requests - longer
	for i := range waitBins - 1 {
		beyond := requests * share * math.Exp(-rate*waitEdge(i+1))
		if beyond < 1e-6*requests { // too few for any quantile asked for
			w.bins[i] += longer
			return
		}
		w.bins[i] += longer - beyond
		longer = beyond
	}
	w.bins[waitBins-1] += longer
}

// waitEdge is where a bin begins, in seconds.
func waitEdge(i int) float64 { return math.Float64frombits(uint64(i+waitFirst) << 48) }

// quantile returns the upper end of the bin that holds it; 0 where the waits are
// too short to count, infinity where they are too long.
func (w *waits) quantile(q float64) float64 {
	total := w.none
	for _, n := range w.bins {
		total += n
	}
	sum := w.none
	if sum >= q*total {
		return 0
	}
	for i, n := range w.bins[:waitBins-1] {
		if sum += n; sum >= q*total {
			return waitEdge(i + 1)
		}
	}
	return math.Inf(1)
}
