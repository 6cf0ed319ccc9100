package trial

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Birth is how long births take: lognormal about a median.
type Birth struct {
	Median time.Duration
	// Sigma is the standard deviation of the logarithm.
	Sigma float64
}

// usualSigma is the spread where only a median is given: half of the births take
// 0.84 to 1.18 of it.
const usualSigma = 0.25

// z90 is how many standard deviations above the median 90 % lie below.
const z90 = 1.2816

// ParseBirth reads how long births take: a median, "60s"; a median and what nine
// in ten take at most, "60s,p90=95s"; or three and more that were measured,
// "52s,58s,75s".
func ParseBirth(text string) (Birth, error) {
	var times []time.Duration
	p90 := time.Duration(0)
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		number, isP90 := strings.CutPrefix(part, "p90=")
		d, err := time.ParseDuration(number)
		if err != nil || d < time.Second || d > 24*time.Hour {
			return Birth{}, fmt.Errorf("%q is no time from 1s to 24h", part)
		}
		if isP90 {
			p90 = d
		} else {
			times = append(times, d)
		}
	}
	switch {
	case len(times) == 0:
		return Birth{}, fmt.Errorf("%q has no median; give it first, as in 60s,p90=95s", text)
	case p90 > 0 && (len(times) > 1 || p90 < times[0]):
		return Birth{}, fmt.Errorf("%q: one median goes with a p90, which is not below it", text)
	case p90 > 0:
		return Birth{times[0], math.Log(float64(p90)/float64(times[0])) / z90}, nil
	case len(times) == 1:
		return Birth{times[0], usualSigma}, nil
	case len(times) == 2:
		return Birth{}, fmt.Errorf("%q: of measured births three are needed; a median and a p90 are 60s,p90=95s", text)
	}
	return measured(times), nil
}

// measured is the distribution of births that were measured.
func measured(times []time.Duration) Birth {
	slices.Sort(times)
	n := len(times)
	median := (times[(n-1)/2] + times[n/2]) / 2
	mean, squares := 0.0, 0.0
	for _, d := range times {
		mean += math.Log(d.Seconds()) / float64(n)
	}
	for _, d := range times {
		squares += math.Pow(math.Log(d.Seconds())-mean, 2)
	}
	return Birth{median, math.Sqrt(squares / float64(n-1))}
}

// Half is between which times half of the births lie.
func (b Birth) Half() (from, to time.Duration) {
	const z75 = 0.6745
	factor := math.Exp(z75 * b.Sigma)
	return time.Duration(float64(b.Median) / factor), time.Duration(float64(b.Median) * factor)
}
