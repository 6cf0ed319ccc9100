package balance

import (
	"bufio"
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
	var values []float64
	lines := bufio.NewScanner(f)
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
