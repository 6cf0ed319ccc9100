package contest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trace"
)

// Source is a stretch of a recorded load.
type Source struct {
	Name string
	// File lies below the folder of traces.
	File string
	Step time.Duration
	// First is the first row that counts and Count how many do, 0 for all.
	First, Count int
	Hours        bool
}

const (
	worldcup = "worldcup98/worldcup98_requests_per_minute.csv"
	nasa     = "nasa_http/nasa_http_requests_per_10s.csv.gz"
)

// Sources are the stretches on which choices are made.
var Sources = []Source{
	{Name: "wc", File: worldcup, Step: time.Minute, First: 53 * 1440, Count: 7 * 1440},
	{Name: "nasa", File: nasa, Step: 10 * time.Second, First: 9 * 8640, Count: 7 * 8640},
	{Name: "elb", File: "nab/elb_request_count_8c0756.csv", Step: 5 * time.Minute},
	{Name: "code", File: "azure_llm_2023/azure_llm_2023_code_requests_per_second.csv", Step: time.Second, Hours: true},
	{Name: "conv", File: "azure_llm_2023/azure_llm_2023_conv_requests_per_second.csv", Step: time.Second, Hours: true},
}

// HeldOut are stretches on which no choice was made.
var HeldOut = []Source{
	{Name: "wc later", File: worldcup, Step: time.Minute, First: 60 * 1440, Count: 7 * 1440},
	{Name: "nasa later", File: nasa, Step: 10 * time.Second, First: 18 * 8640, Count: 7 * 8640},
	{Name: "AMZN", File: "nab/Twitter_volume_AMZN.csv", Step: 5 * time.Minute, Count: 4032},
	{Name: "GOOG", File: "nab/Twitter_volume_GOOG.csv", Step: 5 * time.Minute, Count: 4032},
	{Name: "FB", File: "nab/Twitter_volume_FB.csv", Step: 5 * time.Minute, Count: 4032},
}

// Read reads the stretch from a folder of traces.
func (s Source) Read(folder string) (simulate.Trace, error) {
	path := filepath.Join(folder, s.File)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(path, ".gz") {
		path += ".gz" // as the repository keeps them
	}
	series, err := trace.ReadFile(path, trace.Options{Unit: trace.PerStep})
	if err != nil {
		return simulate.Trace{}, fmt.Errorf("read the trace %s: %w", s.Name, err)
	}
	if series.Step != s.Step {
		return simulate.Trace{}, fmt.Errorf("read the trace %s: its steps are %s, want %s", s.Name, series.Step, s.Step)
	}
	rates := series.Rates()
	last := len(rates)
	if s.Count > 0 {
		last = s.First + s.Count
	}
	if last > len(rates) {
		return simulate.Trace{}, fmt.Errorf("read the trace %s: it has %d rows, want %d", s.Name, len(rates), last)
	}
	return simulate.Trace{Name: s.Name, Step: s.Step, Rates: rates[s.First:last]}, nil
}

// Missing is what can't be run, and why.
type Missing struct {
	What string
	Why  error
}

func (m Missing) String() string { return fmt.Sprintf("not run: %s, because %v", m.What, m.Why) }

// Traces are the stretches that could be read.
type Traces struct {
	Sources []Source
	traces  map[string]simulate.Trace
	Missing []Missing
}

// ReadAll reads what there is of the sources. What there isn't is listed.
func ReadAll(folder string, sources []Source) Traces {
	all := Traces{traces: map[string]simulate.Trace{}}
	for _, s := range sources {
		t, err := s.Read(folder)
		if err != nil {
			all.Missing = append(all.Missing, Missing{"the rows of " + s.Name, err})
			continue
		}
		all.Sources = append(all.Sources, s)
		all.traces[s.Name] = t
	}
	return all
}

// loadKey names a load: rows of a trace and a size share it.
type loadKey struct {
	trace string
	cells int
}

// loads are arrivals per second for each second, for every trace and size.
func (t *Traces) loads(rows []Row) map[loadKey][]float64 {
	loads := map[loadKey][]float64{}
	for _, r := range rows {
		key := loadKey{r.Trace, r.Cells}
		if _, done := loads[key]; !done {
			loads[key] = t.traces[r.Trace].Scaled(r.peak()).Seconds()
		}
	}
	return loads
}
