package sense

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Whole is a value over all cells of a service.
type Whole struct {
	// Value is known only if every cell gave its part.
	Value reading.Reading
	// Partial is over the cells that did. For a sum or a maximum it is a lower
	// bound of the whole; for a quantile it is no bound at all.
	Partial reading.Reading
	// Known of Of cells gave their part.
	Known, Of int
}

// ServiceVitals is what the vitals of all cells of a service say together.
type ServiceVitals struct {
	// Offered, Served and Refused are per second, InFlight and SpoolDepth are
	// counts; each summed over the cells.
	Offered, Served, Refused, InFlight, SpoolDepth Whole
	// BusyMax is the busy share of the busiest ready cell, 0 to 1, and
	// BusySource what that was measured by. The busiest one tells when a
	// service is full: with skewed partitions the mean never does (FLINK-30652).
	BusyMax    Whole
	BusySource string
	// Latency is the quantile over all requests of all cells, in the unit of
	// the histogram. LatencyBeyond says that it lies above the largest bound
	// of the buckets, which is then the value.
	Latency       Whole
	LatencyBeyond bool
	// Quiet says that no cell had a request that its latency is of, for as long as
	// that is measured.
	Quiet bool
	// Version is that of the ready cells; empty while they differ.
	Version string
	// Silent are the cells that did not answer in time and whose last vitals count.
	Silent Silent
	// Missing names the cells that gave no vitals, with the reason.
	Missing []string
}

// Silent is what is known of cells whose last vitals stand in for those of now.
type Silent struct {
	// Cells counts them, and Why is what was the matter with the first.
	Cells int
	Why   string
	// Served is their part in the sum, per second, Busy the largest of their busy
	// shares, 0 to 1, and Age the age of the oldest of their vitals.
	Served, Busy float64
	Age          time.Duration
	// Latency is the quantile over all cells if each of their requests were slower than
	// the largest bound; Known where it is below that.
	Latency reading.Reading
}

// Combine reckons up a service from what its cells answered. The caller asks
// those cells that count: one that is known to be dead is left out of results,
// or the whole stays unknown for as long as it is dead. Quantile (0 to 1) is
// that of Latency.
//
// A cell that answers, is not ready and could not measure a value has no part
// in it: its application is not up yet, and gets no load.
func Combine(at time.Time, results []Result, quantile float64) ServiceVitals {
	s := ServiceVitals{
		Offered:    sum(at, results, func(v Vitals) reading.Reading { return v.Offered }),
		Served:     sum(at, results, func(v Vitals) reading.Reading { return v.Served }),
		Refused:    sum(at, results, func(v Vitals) reading.Reading { return v.Refused }),
		InFlight:   sum(at, results, func(v Vitals) reading.Reading { return v.InFlight }),
		SpoolDepth: sum(at, results, func(v Vitals) reading.Reading { return v.SpoolDepth }),
	}
	s.BusyMax, s.BusySource = busiest(at, results)
	s.Latency, s.LatencyBeyond = mergedQuantile(at, results, quantile)
	s.Version = commonVersion(results)
	s.Quiet = quiet(results)
	for _, r := range results {
		if r.Err != nil {
			s.Missing = append(s.Missing, r.Err.Error())
		}
	}
	s.Silent = silentOf(at, results, quantile)
	return s
}

// silentOf reckons up those that stand in.
func silentOf(at time.Time, results []Result, quantile float64) (s Silent) {
	if !slices.ContainsFunc(results, func(r Result) bool { return r.Old != nil }) {
		return s
	}
	worst := slices.Clone(results)
	for i, r := range results {
		if r.Old == nil {
			continue
		}
		if s.Cells++; s.Cells == 1 {
			s.Why = r.Old.Error()
		}
		v := &worst[i].Vitals
		s.Age, s.Served, s.Busy = max(s.Age, v.Age), s.Served+v.Served.Value, max(s.Busy, v.Busy.Value)
		if v.Latency != nil {
			v.Latency = v.Latency.slowest()
		}
	}
	latency, beyond := mergedQuantile(at, worst, quantile)
	if s.Latency = latency.Value; beyond {
		s.Latency = reading.Reading{At: at, Reason: "it may be above all bounds: " + s.Why}
	}
	return s
}

// parts collects one value of every cell that has a part in the whole.
type parts struct {
	values  []float64
	of      int
	reasons []string
}

// add takes over a cell's value, or the reason why it is missing.
func (p *parts) add(r Result, value reading.Reading) {
	switch {
	case r.Err != nil:
		p.miss(r.Err.Error())
	case value.Known:
		p.of++
		p.values = append(p.values, value.Value)
	case r.Vitals.Ready:
		p.miss(r.Cell + ": " + value.Reason)
	}
}

func (p *parts) miss(reason string) {
	p.of++
	p.reasons = append(p.reasons, reason)
}

// whole makes the value over the known parts that of the whole, if they are all.
func (p *parts) whole(partial reading.Reading) Whole {
	w := Whole{Value: partial, Partial: partial, Known: len(p.values), Of: p.of}
	switch {
	case p.of == 0:
		w.Partial.Known, w.Partial.Value, w.Partial.Reason = false, 0, "no cell has measured it"
		w.Value = w.Partial
	case len(p.values) == 0:
		w.Partial.Known, w.Partial.Value, w.Partial.Reason = false, 0, p.reason()
		w.Value = w.Partial
	case len(p.values) < p.of:
		w.Value = reading.Reading{At: partial.At, Reason: fmt.Sprintf("known for %d of %d cells; %s", len(p.values), p.of, p.reason())}
	}
	return w
}

// reason names the first cell that is missing, and how many more are.
func (p *parts) reason() string {
	if len(p.reasons) == 1 {
		return p.reasons[0]
	}
	return fmt.Sprintf("%s (and %d more)", p.reasons[0], len(p.reasons)-1)
}

func sum(at time.Time, results []Result, part func(Vitals) reading.Reading) Whole {
	var p parts
	for _, r := range results {
		p.add(r, part(r.Vitals))
	}
	var total float64
	for _, v := range p.values {
		total += v
	}
	return p.whole(reading.Of(total, at))
}

// busiest is the largest busy share of the cells that take load, and its source.
func busiest(at time.Time, results []Result) (Whole, string) {
	var p parts
	var largest float64
	var source string
	for _, r := range results {
		if r.Err == nil && !r.Vitals.Ready {
			continue
		}
		p.add(r, r.Vitals.Busy)
		if r.Err == nil && r.Vitals.Busy.Known && (source == "" || r.Vitals.Busy.Value > largest) {
			largest, source = r.Vitals.Busy.Value, r.Vitals.BusySource
		}
	}
	return p.whole(reading.Of(largest, at)), source
}

// mergedQuantile is the quantile over the requests of all cells. Nothing
// observed by any cell is unknown: no request is not a fast one.
func mergedQuantile(at time.Time, results []Result, quantile float64) (Whole, bool) {
	var p parts
	var increases []Increase
	for _, r := range results {
		if r.Err != nil || r.Vitals.Latency == nil {
			p.add(r, reading.Reading{Reason: r.Vitals.LatencyReason})
			continue
		}
		p.add(r, reading.Of(0, at))
		increases = append(increases, *r.Vitals.Latency)
	}
	if len(increases) == 0 {
		return p.whole(reading.Reading{At: at}), false
	}
	merged, err := Merge(increases)
	var value float64
	var beyond bool
	if err == nil {
		value, beyond, err = merged.Quantile(quantile)
	}
	if err != nil {
		why := reading.Reading{At: at, Reason: err.Error()}
		return Whole{Value: why, Partial: why, Known: len(increases), Of: p.of}, false
	}
	return p.whole(reading.Of(value, at)), beyond
}

// quiet says that every cell which has a part in the whole is.
func quiet(results []Result) bool {
	n := 0
	for _, r := range results {
		switch {
		case r.Err != nil, r.Vitals.Ready && !r.Vitals.Quiet:
			return false
		case r.Vitals.Ready:
			n++
		}
	}
	return n > 0
}

// commonVersion is the version that all ready cells have; empty if they differ.
func commonVersion(results []Result) string {
	versions := make(map[string]bool)
	for _, r := range results {
		if r.Err == nil && r.Vitals.Ready {
			versions[strings.TrimSpace(r.Vitals.Version)] = true
		}
	}
	if len(versions) != 1 {
		return ""
	}
	for v := range versions {
		return v
	}
	return ""
}
