package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// mostJSON bounds a file of JSON, in bytes: it is read at one go, and what is read
// takes several times the room. It is two million points and more, a year of minutes
// four times over.
const mostJSON = 64 << 20

// answer is what Prometheus' HTTP API answers a range query with.
type answer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   *struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

// promSeries is one series of it: points of a time in seconds and a number as text.
type promSeries struct {
	Metric map[string]string `json:"metric"`
	Values []promPoint       `json:"values"`
}

type promPoint struct {
	at    float64
	value string
}

func (p *promPoint) UnmarshalJSON(text []byte) error {
	pair := []any{&p.at, &p.value}
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("a point is a time and a number as text, not %d values", len(pair))
	}
	return nil
}

// prometheus reads the answer to a range query, or its list of series alone, as
// promtool prints it.
func (r *reading) prometheus(in source) error {
	text, err := io.ReadAll(io.LimitReader(in, mostJSON+1))
	if err != nil {
		return r.wrong(0, "", "read it: %v", err)
	}
	if len(text) > mostJSON {
		return r.wrong(0, "ask for sum(), a longer step or a shorter time, or export a table", "more than %d MiB of JSON", mostJSON>>20)
	}
	list, err := r.promList(text)
	if err != nil {
		return err
	}
	r.clock = clock{unit: int64(time.Second), dated: true}
	if err := r.promUnit(list); err != nil {
		return err
	}
	return r.promRows(list)
}

func (r *reading) promList(text []byte) ([]promSeries, error) {
	var list []promSeries
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		return list, r.decode(text, &list)
	}
	var a answer
	if err := r.decode(text, &a); err != nil {
		return nil, err
	}
	switch {
	case a.Status == "error" || a.Error != "":
		return nil, r.wrong(0, "mend the query and ask again", "Prometheus answered with an error: %s", shorten(a.Error))
	case a.Data == nil:
		return nil, r.wrong(0, "keep the whole answer of /api/v1/query_range", "JSON, and no answer of Prometheus")
	case a.Data.ResultType != "matrix":
		return nil, r.wrong(0, "ask /api/v1/query_range, with start, end and step", "a %s, the answer to a query of one instant", shorten(a.Data.ResultType))
	}
	return list, r.decode(a.Data.Result, &list)
}

// decode reads JSON, and says at which line it fails.
func (r *reading) decode(text []byte, into any) error {
	err := json.Unmarshal(text, into)
	if err == nil {
		return nil
	}
	line := 0
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line = 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
	}
	return r.wrong(line, "keep the whole answer of /api/v1/query_range as it came", "no answer of Prometheus: %v", err)
}

// promUnit finds out what the numbers are. A series that still has its name is the
// counter itself, as functions take the name away.
func (r *reading) promUnit(list []promSeries) error {
	if len(list) == 0 {
		return r.wrong(0, "look at the query's labels and times", "Prometheus answered with no series")
	}
	r.unit = r.options.Unit
	if r.unit != "" {
		return nil
	}
	name := list[0].Metric["__name__"]
	switch {
	case strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_count"):
		r.unit = Total
		r.note("%s is taken as a counter that only rises; -unit rate or -unit count say otherwise", shorten(name))
	default:
		r.unit = PerSecond
		r.note("the numbers are taken as requests a second, as of rate(); say -unit count if they are of increase()")
	}
	return nil
}

// promRows adds up the series: each is of one instance. One that has no point at
// a time isn't there.
func (r *reading) promRows(list []promSeries) error {
	if r.unit == Total && len(list) > 1 {
		return r.promTotals(list)
	}
	sums := map[int64]float64{}
	for i, s := range list {
		for j, p := range s.Values {
			at, v, err := r.promPoint(i, j, p)
			if err != nil {
				return err
			}
			if sum, ok := sums[at]; ok && !math.IsNaN(sum) {
				if !math.IsNaN(v) {
					sums[at] = sum + v
				}
				continue
			}
			sums[at] = v
		}
	}
	if len(list) > 1 {
		r.note("%d series are added up", len(list))
	}
	return r.addSums(sums)
}

// addSums takes the sums as rows; they are sorted later, as all rows are.
func (r *reading) addSums(sums map[int64]float64) error {
	for at, v := range sums {
		if err := r.add(row{at: at, value: v}); err != nil {
			return err
		}
	}
	sortRows(r.rows)
	return nil
}

// promPoint reads one point.
func (r *reading) promPoint(series, point int, p promPoint) (int64, float64, error) {
	v, err := number(strings.TrimPrefix(p.value, "+"))
	at := p.at * float64(time.Second)
	switch {
	case err != nil:
		return 0, 0, r.wrong(0, "keep the whole answer as it came", "series %d, point %d: %v", series+1, point+1, err)
	case !(at >= 0) || at >= 9.2e18:
		return 0, 0, r.wrong(0, "keep the whole answer as it came", "series %d, point %d: %g is no time", series+1, point+1, p.at)
	case v < 0 || v > most:
		return 0, 0, r.wrong(0, "ask for rate() or increase() of a counter", "series %d, point %d: %g is no count", series+1, point+1, v)
	}
	return int64(math.Round(p.at*1000)) * int64(time.Millisecond), v, nil
}

// promTotals takes the rises of each counter by itself: a sum of counters falls
// when an instance goes, and that is no new beginning.
func (r *reading) promTotals(list []promSeries) error {
	sums := map[int64]float64{}
	for i, s := range list {
		one := &reading{file: r.file, options: r.options, clock: r.clock, bound: r.bound, unit: Total}
		for j, p := range s.Values {
			at, v, err := r.promPoint(i, j, p)
			if err != nil {
				return err
			}
			if err := one.add(row{at: at, value: v}); err != nil {
				return err
			}
		}
		if len(one.rows) < 2 {
			continue
		}
		if err := one.sorted(); err != nil {
			return err
		}
		step, err := one.findStep()
		if err != nil {
			return err
		}
		if err := one.differences(int64(step)); err != nil {
			return err
		}
		for _, x := range one.rows {
			sums[x.at] += x.value
		}
	}
	r.unit = PerSecond
	r.note("%d counters are added up", len(list))
	return r.addSums(sums)
}
