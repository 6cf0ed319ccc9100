// Package replay sends a trace of client queries at a search engine, compressed in
// time. Queries are sent when they are due, whether or not those before them are
// answered (an open loop), and latency counts from when they were due, so that a
// server that stalls pays for what it kept from being asked (Tene's "coordinated
// omission").
package replay

import (
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// elb is one day, 2014-04-22, of realAWSCloudwatch/elb_request_count_8c0756.csv of the
// Numenta Anomaly Benchmark: how many requests a load balancer had in each five
// minutes. Its licence, MIT, is in LICENSE-NAB.txt.
//
//go:embed elb.csv
var elb string

// Trace is how many requests there were in each of many intervals of one length.
type Trace struct {
	Interval time.Duration
	Counts   []float64
}

// Default is a day of a real load balancer.
func Default() (Trace, error) { return Read(strings.NewReader(elb)) }

// layouts are how times are written in traces; else they are numbers of seconds.
var layouts = []string{time.DateTime, time.RFC3339Nano}

// Read reads a trace: lines of a time and a count, separated by a comma, with or
// without a line of names before them. The interval is the time between the first two.
func Read(from io.Reader) (Trace, error) {
	rows := csv.NewReader(from)
	rows.FieldsPerRecord = 2
	var (
		trace Trace
		times []time.Time
	)
	for n := 1; ; n++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Trace{}, fmt.Errorf("read a trace: %w", err)
		}
		at, timeErr := instant(row[0])
		count, err := strconv.ParseFloat(strings.TrimSpace(row[1]), 64)
		if n == 1 && (timeErr != nil || err != nil) {
			continue // names
		}
		if err := errors.Join(timeErr, err); err != nil {
			return Trace{}, fmt.Errorf("read a trace: line %d: %w", n, err)
		}
		if !(count >= 0 && count < 1e12) {
			return Trace{}, fmt.Errorf("read a trace: line %d: %q is no count of requests", n, row[1])
		}
		if len(times) < 2 {
			times = append(times, at)
		}
		trace.Counts = append(trace.Counts, count)
	}
	if len(times) < 2 || !times[1].After(times[0]) {
		return Trace{}, errors.New("read a trace: it takes two lines at least, each a time and a count, and the second is to be later than the first")
	}
	trace.Interval = times[1].Sub(times[0])
	return trace, nil
}

func instant(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= -1e11 && seconds <= 1e11) {
		return time.Time{}, fmt.Errorf("%q is neither a time nor a number of seconds", text)
	}
	return time.Unix(0, 0).Add(time.Duration(seconds * float64(time.Second))), nil
}

// Part is what lies between two instants of the trace, counted from its beginning.
func (t Trace) Part(from, to time.Duration) Trace {
	n := len(t.Counts)
	first := min(max(0, int(from/t.Interval)), n)
	return Trace{Interval: t.Interval, Counts: t.Counts[first:min(max(first, int(to/t.Interval)), n)]}
}

// mean is the mean of the counts.
func (t Trace) mean() float64 {
	sum := 0.0
	for _, count := range t.Counts {
		sum += count
	}
	return sum / float64(len(t.Counts))
}

// schedule says when requests are due: at random instants (a Poisson process) whose
// rate follows the trace, played speed times as fast and so that there are rate
// requests a second on average. What is yielded is counted from the beginning. Random
// gives exponentially distributed numbers of mean 1.
func (t Trace) schedule(speed, rate float64, random func() float64) func(yield func(time.Duration) bool) {
	interval := t.Interval.Seconds() / speed
	mean := t.mean()
	return func(yield func(time.Duration) bool) {
		need := random() // requests until the next one
		for i, count := range t.Counts {
			have, past := rate*count/mean*interval, 0.0
			for have-past >= need {
				past += need
				due := (float64(i) + past/have) * interval
				if !yield(time.Duration(due * float64(time.Second))) {
					return
				}
				need = random()
			}
			need -= have - past
		}
	}
}
