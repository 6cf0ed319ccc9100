package loop

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// pacing is how fast one cell is, and under which load.
type pacing struct {
	Name string
	Life string // its incarnation
	// Latency is in seconds, Load per second.
	Latency, Load float64
}

// slowWatch finds cells that stay slower than their siblings at the same load:
//
//	even --slow for SlowAfter--> marked (warning) --slow for SlowReplaceAfter--> due
//	  ^                             |                                             |
//	  +---even for SlowAfter--------+                        replaced at the pace +
//
// A cell is slow in a beat when its latency is an outlier among its siblings' by
// the modified z-score of Iglewicz and Hoaglin ("How to Detect and Handle
// Outliers", 1993),
//
//	0.6745 (x - median) / MAD,
//
// with median and MAD, the median of the absolute deviations from it, those of
// the other cells, so that a slow one widens no measure it is held against; and
// when it is also SlowRatio times as slow as their median, as siblings that are
// all alike make every difference an outlier. A cell under more load than the
// others is not judged. If more than SlowShare of the cells are slow at once,
// none is: then it isn't the cell.
//
// What is unknown of a cell in a beat neither confirms nor clears anything; one that
// was not judged for SlowAfter is not slow since before that. One
// that was marked, was spared, recovered and is marked again within slowAgain is
// due at once: it is fast only while it has nothing to do.
type slowWatch struct {
	// Cells is what is remembered of those not simply even; leaders hand it on.
	Cells map[string]slowCell `json:"cells,omitempty"`
}

// slowCell is what is remembered of one cell.
type slowCell struct {
	// Slow is since when it has been slow, Even since when it has been even
	// while it is marked; zero for not.
	Slow time.Time `json:"slow,omitzero"`
	Even time.Time `json:"even,omitzero"`
	// Marked is since when it is marked, Before when it was marked before that.
	Marked time.Time `json:"marked,omitzero"`
	// Seen is when it was judged last, Life of which incarnation this is.
	Seen   time.Time `json:"seen,omitzero"`
	Life   string    `json:"life,omitempty"`
	Before time.Time `json:"before,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

const slowAgain = time.Hour

// judge takes one beat. It changes what is remembered, and says why none is
// judged, if that is so.
func (w *slowWatch) judge(r *policy.Replace, now time.Time, cells []pacing) (held string) {
	slow := map[string]string{} // with the reason
	for i, c := range cells {
		others := slices.Delete(slices.Clone(cells), i, i+1)
		if why := outlier(r, c, others); why != "" {
			slow[c.Name] = why
		}
	}
	if len(slow) > 1 && float64(len(slow)) > r.SlowShare*float64(len(cells)) {
		return fmt.Sprintf("%d of %d cells are slow at once: that isn't the cells'", len(slow), len(cells))
	}
	if w.Cells == nil {
		w.Cells = map[string]slowCell{}
	}
	for _, c := range cells {
		w.remember(r, now, c, slow[c.Name])
	}
	return ""
}

// remember takes one cell's beat.
func (w *slowWatch) remember(r *policy.Replace, now time.Time, cell pacing, why string) {
	c := w.Cells[cell.Name]
	if c.Marked.IsZero() && now.Sub(c.Seen) > r.SlowAfter {
		c.Slow = time.Time{}
	}
	switch {
	case why == "" && c.Marked.IsZero():
		c.Slow = time.Time{}
	case why == "":
		if c.Even.IsZero() {
			c.Even = now
		}
		if now.Sub(c.Even) >= r.SlowAfter {
			c = slowCell{Before: c.Marked}
		}
	default:
		c.Even, c.Reason = time.Time{}, why
		if c.Slow.IsZero() {
			c.Slow = now
		}
		if c.Marked.IsZero() && now.Sub(c.Slow) >= r.SlowAfter {
			c.Marked = now
		}
	}
	if c.Slow.IsZero() && now.Sub(c.Before) >= slowAgain {
		delete(w.Cells, cell.Name)
		return
	}
	c.Seen, c.Life = now, cell.Life
	w.Cells[cell.Name] = c
}

// forget drops cells that are no more, and what earlier lives did of those that
// are: living is their incarnations by name, empty where that isn't known.
func (w *slowWatch) forget(living map[string]string) {
	maps.DeleteFunc(w.Cells, func(name string, c slowCell) bool {
		life, lives := living[name]
		return !lives || life != "" && c.Life != "" && life != c.Life
	})
}

// marked are the cells that count as slow, with the reason.
func (w *slowWatch) marked() map[string]string {
	marked := map[string]string{}
	for name, c := range w.Cells {
		if !c.Marked.IsZero() {
			marked[name] = c.Reason
		}
	}
	return marked
}

// due are the cells to be replaced, the longest slow first.
func (w *slowWatch) due(r *policy.Replace, now time.Time) []string {
	var due []string
	for name, c := range w.Cells {
		again := !c.Before.IsZero() && c.Marked.Sub(c.Before) < slowAgain
		if !c.Marked.IsZero() && c.Even.IsZero() && (again || now.Sub(c.Marked) >= r.SlowReplaceAfter) {
			due = append(due, name)
		}
	}
	slices.SortFunc(due, func(a, b string) int { return w.Cells[a].Slow.Compare(w.Cells[b].Slow) })
	return due
}

// outlier says in what a cell is one among the others, or nothing.
func outlier(r *policy.Replace, c pacing, others []pacing) string {
	if len(others) < r.SlowSiblings {
		return ""
	}
	var latencies, loads []float64
	for _, o := range others {
		latencies, loads = append(latencies, o.Latency), append(loads, o.Load)
	}
	center := median(latencies)
	if c.Load > r.SlowLoad*median(loads) || c.Latency < r.SlowRatio*center {
		return ""
	}
	score := modifiedZ(c.Latency, center, latencies)
	if score < r.SlowScore {
		return ""
	}
	return fmt.Sprintf("latency %s where %d siblings have %s at the same load (modified z-score %.3g)",
		seconds(c.Latency), len(others), seconds(center), math.Min(score, 1e6))
}

// modifiedZ is the modified z-score. Where more than half of the values are the
// same the MAD is 0; then 1.2533 times their mean absolute deviation stands in
// for the standard deviation, as Iglewicz and Hoaglin have it.
func modifiedZ(x, center float64, values []float64) float64 {
	deviations, sum := make([]float64, len(values)), 0.0
	for i, v := range values {
		deviations[i] = math.Abs(v - center)
		sum += deviations[i]
	}
	if mad := median(deviations); mad > 0 {
		return 0.6745 * (x - center) / mad
	}
	if sum > 0 {
		return (x - center) / (1.2533 * sum / float64(len(values)))
	}
	if x > center {
		return math.Inf(1)
	}
	return 0
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(10 * time.Microsecond).String()
}
