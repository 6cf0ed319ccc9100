package balance

import (
	"encoding/json"
	"errors"
	"math"
)

// A histogram spans the ratios 0.4 to 4 in equal steps of their logarithm, 1.4 % each:
// about twice as far as a correction goes (Law.CorrectionMin, Law.CorrectionMax).
const bins = 160

var (
	histogramLow  = math.Log(0.4)
	histogramHigh = math.Log(4)
	binWidth      = (histogramHigh - histogramLow) / bins
)

// histogram counts ratios, by their logarithm, and forgets: instead of all old
// weights becoming lighter, each new one is heavier by scale.
type histogram struct {
	weights [bins]float64
	scale   float64
}

// add counts the logarithm x with a weight; what lies outside goes to the
// outermost bin.
func (h *histogram) add(x, weight float64) {
	i := int(math.Floor((clamp(x, histogramLow, histogramHigh) - histogramLow) / binWidth))
	h.weights[clamp(i, 0, bins-1)] += weight * h.scale
}

// forget makes everything counted so far weigh less by the factor keep.
func (h *histogram) forget(keep float64) {
	h.scale /= keep
	if h.scale < 1e9 {
		return
	}
	for i := range h.weights {
		h.weights[i] /= h.scale
	}
	h.scale = 1
}

// quantile returns the logarithm below which a share p of the weight lies,
// taking the weight as evenly spread within a bin.
func (h *histogram) quantile(p float64) float64 {
	total := 0.0
	for _, w := range h.weights {
		total += w
	}
	rest := p * total
	for i, w := range h.weights {
		if w > 0 && rest <= w {
			return histogramLow + (float64(i)+rest/w)*binWidth
		}
		rest -= w
	}
	return histogramHigh
}

// storedHistogram writes the weights in relation to the scale. Trailing and
// leading zeros are the rule, so runs are cut at both ends.
type storedHistogram struct {
	Scale   float64   `json:"scale"`
	First   int       `json:"first"`
	Weights []float64 `json:"weights"`
}

// MarshalJSON implements json.Marshaler.
func (h histogram) MarshalJSON() ([]byte, error) {
	s := storedHistogram{Scale: h.scale}
	last := -1
	for i, w := range h.weights {
		if w == 0 {
			continue
		}
		if last < 0 {
			s.First = i
		}
		last = i
	}
	if last >= 0 {
		s.Weights = h.weights[s.First : last+1]
	}
	return json.Marshal(s)
}

var errNoHistogram = errors.New("not a histogram")

// UnmarshalJSON implements json.Unmarshaler.
func (h *histogram) UnmarshalJSON(src []byte) error {
	var s storedHistogram
	if err := json.Unmarshal(src, &s); err != nil {
		return err
	}
	if !(s.Scale >= 1) || s.Scale > 1e12 || s.First < 0 || s.First > bins || s.First+len(s.Weights) > bins {
		return errNoHistogram
	}
	*h = histogram{scale: s.Scale}
	for i, w := range s.Weights {
		if !(w >= 0 && w < 1e30) {
			return errNoHistogram
		}
		h.weights[s.First+i] = w
	}
	return nil
}
