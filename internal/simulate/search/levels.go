package search

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// Knob is a number of a policy, and the values that are tried.
type Knob struct {
	policy.Knob
	// Levels are the values, rising; Start is the index of the service's own.
	Levels []float64
	Start  int
}

// ParseKnobs reads knobs and, where they are written, the values to try:
// "price,min=2:4:8". The service's own value is always among them.
func ParseKnobs(text string, s *policy.Service) ([]Knob, error) {
	var knobs []Knob
	for part := range strings.SplitSeq(text, ",") {
		name, values, given := strings.Cut(strings.TrimSpace(part), "=")
		found, err := policy.FindKnob(name)
		if err != nil {
			return nil, err
		}
		own, ok := found.Value(s)
		if !ok {
			return nil, fmt.Errorf("the service %s has no block for %s", s.Name, found.Path)
		}
		if slices.ContainsFunc(knobs, func(k Knob) bool { return k.Path == found.Path }) {
			return nil, fmt.Errorf("%s is named twice", found.Path)
		}
		levels := around(found, own)
		if given {
			if levels, err = parseLevels(found, values); err != nil {
				return nil, err
			}
		}
		k := Knob{Knob: found}
		if k.Levels, err = valid(found, s, append(levels, own), given); err != nil {
			return nil, err
		}
		k.Start = slices.Index(k.Levels, own)
		knobs = append(knobs, k)
	}
	return knobs, nil
}

func parseLevels(k policy.Knob, text string) ([]float64, error) {
	var levels []float64
	for part := range strings.SplitSeq(text, ":") {
		v, err := k.Parse(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		levels = append(levels, v)
	}
	return levels, nil
}

// valid are those of the levels that the policy may have, rising. One that was
// given and may not be is an error.
func valid(k policy.Knob, s *policy.Service, levels []float64, given bool) ([]float64, error) {
	var kept []float64
	for _, v := range levels {
		if _, err := s.With(policy.Setting{Knob: k, To: v}); err == nil {
			kept = append(kept, v)
		} else if given {
			return nil, err
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept), nil
}

// around are values about a number, as far apart as makes a difference: shares by
// their odds, so that 0.97 goes to 0.985 as 0.5 to 0.67, all else by doubling.
func around(k policy.Knob, own float64) []float64 {
	var levels []float64
	for _, by := range []float64{1. / 8, 1. / 4, 1. / 2, 1 / math.Sqrt2, math.Sqrt2, 2, 4, 8} {
		switch {
		case k.Share() && own > 0 && own < 1:
			odds := own / (1 - own) * by
			levels = append(levels, round3(odds/(1+odds)))
		case k.Whole():
			levels = append(levels, math.Round(max(own, 1)*by))
		case k.Duration():
			levels = append(levels, math.Round(own*by))
		default:
			levels = append(levels, round3(own*by))
		}
	}
	return levels
}

// round3 keeps three digits.
func round3(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	if err != nil {
		return v
	}
	return r
}

// Apply is the service with the values of a choice of levels. It is an error where
// the policy may not have them together.
func Apply(s *policy.Service, knobs []Knob, at []int) (*policy.Service, error) {
	settings := make([]policy.Setting, len(knobs))
	for i, k := range knobs {
		settings[i] = policy.Setting{Knob: k.Knob, To: k.Levels[at[i]]}
	}
	return s.With(settings...)
}

// Say names the values of a choice of levels, and says which are the service's own.
func Say(knobs []Knob, at []int) string {
	var parts []string
	for i, k := range knobs {
		if at[i] != k.Start {
			parts = append(parts, k.Path+" = "+k.Knob.Say(k.Levels[at[i]]))
		}
	}
	if len(parts) == 0 {
		return "as the policy is"
	}
	return strings.Join(parts, ", ")
}
