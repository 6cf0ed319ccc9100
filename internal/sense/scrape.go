package sense

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// MissingError says that a scrape holds no such metric, or no series of it with
// the labels asked for.
type MissingError struct {
	Name   string
	Labels map[string]string
	// Otherwise says that the metric is there with other labels.
	Otherwise bool
}

func (e *MissingError) Error() string {
	if !e.Otherwise {
		return fmt.Sprintf("metric %q is missing on the application's metrics page", e.Name)
	}
	return fmt.Sprintf("metric %q has no series with the labels %s on the application's metrics page", e.Name, formatLabels(e.Labels))
}

// Scrape is what an application's metrics page held at one instant.
type Scrape struct {
	At       time.Time
	families map[string]*dto.MetricFamily
}

// ParseScrape reads a page in Prometheus' text format. The format carries
// classic histograms only; a native one has a count and a sum but no buckets.
func ParseScrape(r io.Reader, at time.Time) (*Scrape, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(r)
	if err != nil {
		return nil, fmt.Errorf("parse prometheus text format: %w", err)
	}
	return &Scrape{At: at, families: families}, nil
}

// Value returns a counter, a gauge or an untyped metric, summed over all series
// that have the given labels. The _count and _sum of a histogram or summary can
// be asked for as well. It is a *MissingError if there is none.
func (s *Scrape) Value(name string, labels map[string]string) (float64, error) {
	family, part := s.family(name)
	matching, err := series(family, name, labels)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, m := range matching {
		v, err := scalar(m, part)
		if err != nil {
			return 0, fmt.Errorf("metric %q: %w", name, err)
		}
		sum += v
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return 0, fmt.Errorf("metric %q is %v", name, sum)
	}
	return sum, nil
}

// family finds the family a name belongs to. For the _count or _sum of a
// histogram or summary, part is that suffix.
func (s *Scrape) family(name string) (family *dto.MetricFamily, part string) {
	if f, ok := s.families[name]; ok {
		return f, ""
	}
	for _, suffix := range []string{"_count", "_sum"} {
		base, ok := strings.CutSuffix(name, suffix)
		if f := s.families[base]; ok && f != nil && (f.GetType() == dto.MetricType_HISTOGRAM || f.GetType() == dto.MetricType_SUMMARY) {
			return f, suffix
		}
	}
	return nil, ""
}

// series returns the series of a family that have the given labels.
func series(family *dto.MetricFamily, name string, labels map[string]string) ([]*dto.Metric, error) {
	var matching []*dto.Metric
	seen := make(map[string]bool)
	for _, m := range family.GetMetric() {
		has := make(map[string]string, len(m.GetLabel()))
		for _, l := range m.GetLabel() {
			has[l.GetName()] = l.GetValue()
		}
		if !contains(has, labels) {
			continue
		}
		key := formatLabels(has)
		if seen[key] {
			return nil, fmt.Errorf("metric %q shows the series %s twice", name, key)
		}
		seen[key] = true
		matching = append(matching, m)
	}
	if len(matching) == 0 {
		return nil, &MissingError{Name: name, Labels: labels, Otherwise: len(family.GetMetric()) > 0}
	}
	return matching, nil
}

func contains(has, wanted map[string]string) bool {
	for name, value := range wanted {
		if v, ok := has[name]; !ok || v != value {
			return false
		}
	}
	return true
}

// formatLabels prints labels as Prometheus does, in the order of their names.
func formatLabels(labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// scalar is the one number of a series, or of the given part of it.
func scalar(m *dto.Metric, part string) (float64, error) {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue(), nil
	case m.Gauge != nil:
		return m.Gauge.GetValue(), nil
	case m.Untyped != nil:
		return m.Untyped.GetValue(), nil
	case m.Histogram != nil && part == "_count":
		return observations(m.Histogram), nil
	case m.Histogram != nil && part == "_sum":
		return m.Histogram.GetSampleSum(), nil
	case m.Summary != nil && part == "_count":
		return float64(m.Summary.GetSampleCount()), nil
	case m.Summary != nil && part == "_sum":
		return m.Summary.GetSampleSum(), nil
	default:
		return 0, errors.New("it is not a counter or gauge")
	}
}

func observations(h *dto.Histogram) float64 {
	return max(float64(h.GetSampleCount()), h.GetSampleCountFloat())
}

// Histogram returns a histogram, added up over all series that have the given
// labels. It is a *MissingError if there is none, another error if the metric
// is of another kind or its series have different buckets.
func (s *Scrape) Histogram(name string, labels map[string]string) (Histogram, error) {
	family := s.families[name]
	matching, err := series(family, name, labels)
	if err != nil {
		return Histogram{}, err
	}
	if family.GetType() != dto.MetricType_HISTOGRAM {
		return Histogram{}, fmt.Errorf("metric %q is a %s and not a histogram", name, strings.ToLower(family.GetType().String()))
	}
	var sum Histogram
	for i, m := range matching {
		h, err := classic(m.GetHistogram())
		if err != nil {
			return Histogram{}, fmt.Errorf("histogram %q: %w", name, err)
		}
		if i == 0 {
			sum = h
			continue
		}
		if !slices.Equal(sum.Bounds, h.Bounds) {
			return Histogram{}, fmt.Errorf("histogram %q has series with different buckets", name)
		}
		for b, c := range h.Cumulative {
			sum.Cumulative[b] += c
		}
		sum.Sum += h.Sum
	}
	sum.At = s.At
	return sum, nil
}

// classic takes over the classic buckets of one series, in the order of their
// bounds. Counts that fall from one bucket to the next, as a page written in
// the middle of an update may show, are raised to the one before, as Prometheus
// does it (ensureMonotonicAndIgnoreSmallDeltas in promql/quantile.go).
func classic(h *dto.Histogram) (Histogram, error) {
	buckets := slices.Clone(h.GetBucket())
	sort.SliceStable(buckets, func(i, j int) bool { return buckets[i].GetUpperBound() < buckets[j].GetUpperBound() })
	var out Histogram
	var before float64
	for _, b := range buckets {
		bound, count := b.GetUpperBound(), max(float64(b.GetCumulativeCount()), b.GetCumulativeCountFloat())
		switch {
		case math.IsNaN(bound) || math.IsInf(bound, -1) || math.IsNaN(count) || math.IsInf(count, 0):
			return Histogram{}, fmt.Errorf("bucket le=%q counts %v", fmt.Sprint(bound), count)
		case math.IsInf(bound, 1):
			continue
		case len(out.Bounds) > 0 && out.Bounds[len(out.Bounds)-1] == bound:
			return Histogram{}, fmt.Errorf("bucket le=%q is there twice", fmt.Sprint(bound))
		}
		before = max(before, count)
		out.Bounds = append(out.Bounds, bound)
		out.Cumulative = append(out.Cumulative, before)
	}
	all := observations(h)
	if math.IsNaN(all) || math.IsInf(all, 0) {
		return Histogram{}, fmt.Errorf("the count is %v", all)
	}
	out.Cumulative = append(out.Cumulative, max(before, all))
	if out.Sum = h.GetSampleSum(); math.IsNaN(out.Sum) || math.IsInf(out.Sum, 0) {
		return Histogram{}, fmt.Errorf("the sum is %v", out.Sum)
	}
	return out, nil
}
