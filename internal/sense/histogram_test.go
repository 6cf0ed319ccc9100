package sense

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestQuantile(t *testing.T) {
	inc := func(bounds, counts []float64) Increase {
		return Increase{Bounds: bounds, Counts: counts, Span: time.Second}
	}
	tests := map[string]struct {
		inc    Increase
		q      float64
		want   float64
		beyond bool
		err    string
	}{
		"middle of a bucket":              {inc: inc([]float64{1, 2, 4}, []float64{0, 10, 0, 0}), q: 0.5, want: 1.5},
		"lowest bucket begins at 0":       {inc: inc([]float64{1, 2}, []float64{10, 0, 0}), q: 0.9, want: 0.9},
		"lowest bucket below 0":           {inc: inc([]float64{-1, 2}, []float64{10, 0, 0}), q: 0.5, want: -1},
		"end of a bucket":                 {inc: inc([]float64{1, 2}, []float64{5, 5, 0}), q: 0.5, want: 1},
		"across an empty bucket":          {inc: inc([]float64{1, 2, 4}, []float64{5, 0, 5, 0}), q: 0.75, want: 3},
		"p99 of a hundred":                {inc: inc([]float64{0.1, 0.5, 1}, []float64{90, 8, 2, 0}), q: 0.99, want: 0.75},
		"all":                             {inc: inc([]float64{1, 2}, []float64{5, 5, 0}), q: 1, want: 2},
		"above the largest bound":         {inc: inc([]float64{1, 2}, []float64{1, 0, 9}), q: 0.5, want: 2, beyond: true},
		"nothing observed":                {inc: inc([]float64{1}, []float64{0, 0}), q: 0.5, err: "nothing was observed"},
		"no buckets, as of a native one":  {inc: inc(nil, []float64{7}), q: 0.5, err: "no buckets"},
		"quantile above 1":                {inc: inc([]float64{1}, []float64{1, 0}), q: 1.01, err: "not between"},
		"quantile that is no number":      {inc: inc([]float64{1}, []float64{1, 0}), q: math.NaN(), err: "not between"},
		"counts of broken observations":   {inc: inc([]float64{1}, []float64{0.5, 0}), q: 0.5, want: 0.5},
		"zeroth quantile, first is empty": {inc: inc([]float64{1, 2}, []float64{0, 4, 0}), q: 0, want: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, beyond, err := tt.inc.Quantile(tt.q)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || beyond != tt.beyond || math.Abs(got-tt.want) > 1e-9 {
				t.Errorf("quantile = %g, beyond %v, error %v; want %g, %v", got, beyond, err, tt.want, tt.beyond)
			}
		})
	}
}

// The quantile of values that are known lies in the bucket of the value itself.
func TestQuantileIsInItsBucket(t *testing.T) {
	bounds := []float64{1, 2, 5, 10, 20, 50}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 50), 1, 200).Draw(t, "values")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		inc := Increase{Bounds: bounds, Counts: make([]float64, len(bounds)+1), Span: time.Second}
		bucket := func(v float64) int {
			b := 0
			for b < len(bounds) && v > bounds[b] {
				b++
			}
			return b
		}
		for _, v := range values {
			inc.Counts[bucket(v)]++
		}
		got, beyond, err := inc.Quantile(q)
		if err != nil || beyond {
			t.Fatalf("quantile: %v, beyond %v", err, beyond)
		}
		// Nearest rank: the value of which a share q lies at or below.
		var below float64
		for b, c := range inc.Counts {
			if below += c; below >= q*float64(len(values)) && below > 0 {
				lower := 0.0
				if b > 0 {
					lower = bounds[b-1]
				}
				if got < lower || got > bounds[b] {
					t.Fatalf("quantile %g = %g, outside of its bucket %g to %g", q, got, lower, bounds[b])
				}
				return
			}
		}
	})
}

func TestSince(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	old := Histogram{At: at(0), Bounds: []float64{1, 2}, Cumulative: []float64{5, 8, 9}, Sum: 10}
	t.Run("growth", func(t *testing.T) {
		inc, err := Histogram{At: at(10), Bounds: []float64{1, 2}, Cumulative: []float64{6, 12, 14}, Sum: 20}.Since(old)
		if err != nil {
			t.Fatal(err)
		}
		want := Increase{Bounds: []float64{1, 2}, Counts: []float64{1, 3, 1}, Sum: 10, Span: 10 * time.Second}
		if diff := cmp.Diff(want, inc); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("reset", func(t *testing.T) {
		_, err := Histogram{At: at(10), Bounds: []float64{1, 2}, Cumulative: []float64{6, 7, 7}}.Since(old)
		if !errors.Is(err, ErrReset) {
			t.Errorf("error = %v, want ErrReset", err)
		}
	})
	t.Run("other buckets", func(t *testing.T) {
		if _, err := (Histogram{At: at(10), Bounds: []float64{1}, Cumulative: []float64{6, 7}}).Since(old); err == nil {
			t.Error("buckets changed without an error")
		}
	})
	t.Run("no time between", func(t *testing.T) {
		if _, err := old.Since(old); err == nil {
			t.Error("an increase over no time without an error")
		}
	})
}

func TestMerge(t *testing.T) {
	a := Increase{Bounds: []float64{1, 2}, Counts: []float64{1, 2, 3}, Sum: 4, Span: time.Second}
	b := Increase{Bounds: []float64{1, 2}, Counts: []float64{10, 20, 30}, Sum: 40, Span: 2 * time.Second}
	got, err := Merge([]Increase{a, b})
	if err != nil {
		t.Fatal(err)
	}
	want := Increase{Bounds: []float64{1, 2}, Counts: []float64{11, 22, 33}, Sum: 44, Span: 2 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a.Counts[0] != 1 {
		t.Error("Merge changed what it was given")
	}
	if _, err := Merge([]Increase{a, {Bounds: []float64{1, 3}, Counts: []float64{0, 0, 0}}}); err == nil {
		t.Error("different buckets were added")
	}
	if _, err := Merge(nil); err == nil {
		t.Error("nothing was added without an error")
	}
}
