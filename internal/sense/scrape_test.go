package sense

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const page = `# HELP page_seconds Time to analyse a page.
# TYPE page_seconds histogram
page_seconds_bucket{kind="html",le="0.1"} 5
page_seconds_bucket{kind="html",le="1"} 9
page_seconds_bucket{kind="html",le="+Inf"} 10
page_seconds_sum{kind="html"} 7.5
page_seconds_count{kind="html"} 10
page_seconds_bucket{kind="pdf",le="0.1"} 0
page_seconds_bucket{kind="pdf",le="1"} 1
page_seconds_bucket{kind="pdf",le="+Inf"} 2
page_seconds_sum{kind="pdf"} 3
page_seconds_count{kind="pdf"} 2
# TYPE requests_total counter
requests_total{code="200"} 90
requests_total{code="503"} 10
# TYPE busy gauge
busy 0.75
# TYPE size summary
size{quantile="0.5"} 3
size_sum 12
size_count 4
untyped_thing 3
nothing NaN
# TYPE odd histogram
odd_bucket{kind="a",le="1"} 1
odd_bucket{kind="a",le="+Inf"} 1
odd_sum{kind="a"} 1
odd_count{kind="a"} 1
odd_bucket{kind="b",le="2"} 1
odd_bucket{kind="b",le="+Inf"} 1
odd_sum{kind="b"} 1
odd_count{kind="b"} 1
# TYPE native histogram
native_sum 5
native_count 50
# TYPE twice gauge
twice{a="1"} 1
twice{a="1"} 2
# TYPE torn histogram
torn_bucket{le="1"} 7
torn_bucket{le="0.5"} 3
torn_bucket{le="2"} 6
torn_sum 4
torn_count 6
`

func parse(t *testing.T, text string) *Scrape {
	t.Helper()
	s, err := ParseScrape(strings.NewReader(text), start)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScrapeValue(t *testing.T) {
	s := parse(t, page)
	tests := []struct {
		name   string
		labels map[string]string
		want   float64
		err    string
	}{
		{name: "requests_total", want: 100},
		{name: "requests_total", labels: map[string]string{"code": "503"}, want: 10},
		{name: "busy", want: 0.75},
		{name: "untyped_thing", want: 3},
		{name: "page_seconds_count", want: 12},
		{name: "page_seconds_sum", labels: map[string]string{"kind": "pdf"}, want: 3},
		{name: "size_count", want: 4},
		{name: "size_sum", want: 12},
		{name: "arrived_total", err: `metric "arrived_total" is missing`},
		{name: "busy_count", err: `metric "busy_count" is missing`},
		{name: "requests_total", labels: map[string]string{"code": "404"}, err: `no series with the labels {code="404"}`},
		{name: "page_seconds", err: "not a counter or gauge"},
		{name: "nothing", err: "NaN"},
		{name: "twice", err: `the series {a="1"} twice`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.Value(tt.name, tt.labels)
			if tt.err == "" && (err != nil || got != tt.want) {
				t.Errorf("value = %g, error %v; want %g", got, err, tt.want)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error = %v, want %q", err, tt.err)
			}
		})
	}
	var missing *MissingError
	if _, err := s.Value("arrived_total", nil); !errors.As(err, &missing) || missing.Name != "arrived_total" {
		t.Errorf("error = %v, want a MissingError of the exact name", err)
	}
}

func TestScrapeHistogram(t *testing.T) {
	s := parse(t, page)
	tests := []struct {
		name   string
		labels map[string]string
		want   Histogram
		err    string
	}{
		{
			name: "page_seconds",
			want: Histogram{At: start, Bounds: []float64{0.1, 1}, Cumulative: []float64{5, 10, 12}, Sum: 10.5},
		},
		{
			name: "page_seconds", labels: map[string]string{"kind": "pdf"},
			want: Histogram{At: start, Bounds: []float64{0.1, 1}, Cumulative: []float64{0, 1, 2}, Sum: 3},
		},
		{name: "native", want: Histogram{At: start, Cumulative: []float64{50}, Sum: 5}},
		{name: "torn", want: Histogram{At: start, Bounds: []float64{0.5, 1, 2}, Cumulative: []float64{3, 7, 7, 7}, Sum: 4}},
		{name: "odd", err: "different buckets"},
		{name: "page_secs", err: `metric "page_secs" is missing`},
		{name: "busy", err: `metric "busy" is a gauge and not a histogram`},
		{name: "page_seconds", labels: map[string]string{"kind": "jpg"}, err: `labels {kind="jpg"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.Histogram(tt.name, tt.labels)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want %q", err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("error %v, %s", err, diff)
			}
		})
	}
}

func TestParseScrapeRefusesWhatIsNoMetrics(t *testing.T) {
	for _, text := range []string{"<html></html>\n", "busy\n", "busy 1", "busy one\n", "busy{a=\"} 1\n", "# TYPE busy wave\n", "\x00\xff\n"} {
		if _, err := ParseScrape(strings.NewReader(text), start); err == nil {
			t.Errorf("%q was taken for metrics", text)
		}
	}
}

// Whatever a page says, nothing panics, and what is known is a number.
func FuzzParseScrape(f *testing.F) {
	f.Add(page)
	f.Add("h_bucket{le=\"NaN\"} 1\n")
	f.Add("# TYPE h histogram\nh_bucket{le=\"-Inf\"} 1\nh_bucket{le=\"1\"} 1e308\nh_count -1\n")
	f.Add("# TYPE h histogram\nh_bucket{le=\"1\"} 1.5\nh_bucket{le=\"1\"} 1\nh_sum NaN\n")
	f.Add("{\"a.b\", le=\"1\"} 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseScrape(strings.NewReader(text), start)
		if err != nil {
			return
		}
		for name := range s.families {
			if v, err := s.Value(name, nil); err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
				t.Errorf("value of %q = %g", name, v)
			}
			h, err := s.Histogram(name, nil)
			if err != nil {
				continue
			}
			later := h
			later.At = h.At.Add(time.Second)
			inc, err := later.Since(h)
			if err != nil {
				t.Fatalf("a histogram does not follow on itself: %v", err)
			}
			if inc.Count() != 0 {
				t.Errorf("a histogram has grown by %g over itself", inc.Count())
			}
			if err := inc.check(); err != nil {
				t.Error(err)
			}
		}
	})
}
