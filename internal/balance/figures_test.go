package balance

import (
	"bufio"
	"compress/gzip"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// trace is a recorded load: a column of numbers in a CSV file.
type trace struct {
	file        string
	step        int // seconds between rows
	first, rows int // 0 rows: all
}

var traces = map[string]trace{
	"wc":   {"worldcup98/worldcup98_requests_per_minute.csv", 60, 53 * 1440, 7 * 1440},
	"nasa": {"nasa_http/nasa_http_requests_per_10s.csv.gz", 10, 9 * 8640, 7 * 8640},
	"elb":  {"nab/elb_request_count_8c0756.csv", 300, 0, 0},
	"code": {"azure_llm_2023/azure_llm_2023_code_requests_per_second.csv", 1, 0, 0},
	"conv": {"azure_llm_2023/azure_llm_2023_conv_requests_per_second.csv", 1, 0, 0},
}

// TestFigures compares the law with the figures it was published with, on the
// recorded loads they were measured on. They are too large for the repository:
// HOMEOSTAT_TRACES names the folder that holds them. It takes a minute.
func TestFigures(t *testing.T) {
	folder := os.Getenv("HOMEOSTAT_TRACES")
	if folder == "" {
		t.SkipNow()
	}
	tests := []struct {
		trace      string
		peak       int
		birth      time.Duration
		serial     bool
		slow, cost float64
	}{
		{"wc", 100, 60 * time.Second, false, 0.000, 1.05},
		{"wc", 100, 600 * time.Second, false, 0.96, 1.36},
		{"wc", 100, 600 * time.Second, true, 2.53, 1.38},
		{"nasa", 40, 60 * time.Second, false, 0.46, 1.75},
		{"nasa", 40, 600 * time.Second, false, 0.39, 1.92},
		{"elb", 40, 60 * time.Second, false, 2.83, 1.36},
		{"elb", 40, 600 * time.Second, false, 2.37, 3.84},
		{"code", 40, 60 * time.Second, false, 7.5, 5.82},
	}
	for _, tt := range tests {
		name := tt.trace + "/" + strconv.Itoa(tt.peak) + " D " + tt.birth.String()
		if tt.serial {
			name += " serial"
		}
		t.Run(name, func(t *testing.T) {
			values := traces[tt.trace].read(t, folder)
			load := spread(values, traces[tt.trace].step, tt.peak)
			var sum outcome
			for seed := range uint64(3) {
				o := queue{
					load: load, birth: tt.birth, serial: tt.serial, seed: seed,
					max: int(math.Ceil(1.5 * float64(tt.peak))), config: figuresConfig(),
				}.simulate()
				sum.Slow += o.Slow / 3
				sum.Cost += o.Cost / 3
				sum.ChangesAHour += o.ChangesAHour / 3
			}
			t.Logf("slow %.3f %% (published %.3f), cost %.3f (%.3f), %.1f changes an hour", sum.Slow, tt.slow, sum.Cost, tt.cost, sum.ChangesAHour)
			if math.Abs(sum.Cost-tt.cost) > 0.05*tt.cost || math.Abs(sum.Slow-tt.slow) > 0.15*tt.slow+0.05 {
				t.Error("this is not the law that was published")
			}
		})
	}
}

// figuresConfig is the law as the figures were measured: a wait bound of 5 s,
// no flap budget.
func figuresConfig() Config {
	return Config{Min: 1, WaitBound: slowAfter * time.Second, FlapBudget: -1}
}

// read returns the second column.
func (tr trace) read(t *testing.T, folder string) []float64 {
	t.Helper()
	f, err := os.Open(filepath.Join(folder, tr.file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var src io.Reader = f
	if strings.HasSuffix(tr.file, ".gz") {
		if src, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var values []float64
	lines := bufio.NewScanner(src)
	for lines.Scan() {
		_, text, _ := strings.Cut(lines.Text(), ",")
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			if len(values) == 0 {
				continue // the header
			}
			t.Fatalf("%s: %v", tr.file, err)
		}
		values = append(values, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if tr.rows > 0 {
		values = values[tr.first : tr.first+tr.rows]
	}
	return values
}
