package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what was read into the golden files")

// describe is what a test compares: a series as a person would check it.
func describe(s *Series) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s from %s (dated %t), %d steps of %s\n", s.Name, s.Start.Format(time.RFC3339), s.Dated, len(s.Counts), s.Step)
	for i, c := range s.Counts {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%g", math.Round(c*1000)/1000)
	}
	b.WriteByte('\n')
	for _, note := range s.Notes {
		b.WriteString(note + "\n")
	}
	return b.String()
}

// Every file in testdata, and what is read from it, beside it.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if strings.HasSuffix(file, ".golden") {
			continue
		}
		n++
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			s, err := ReadFile(file, Options{})
			var got string
			if err != nil {
				got = "error: " + err.Error() + "\n"
			} else {
				got = describe(s)
			}
			golden := file + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	if n < 20 {
		t.Errorf("only %d files were read", n)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	minutes := "time,count\n2024-05-01 00:00:00,60\n2024-05-01 00:01:00,120\n2024-05-01 00:02:00,180\n2024-05-01 00:03:00,240\n"
	gap := "time,count\n0,1\n60,2\n120,3\n300,9\n"
	wide := "Time,a,b\n0,1,10\n60,2,20\n120,3,30\n"
	tests := []struct {
		name, text string
		options    Options
		want       []float64
		step       time.Duration
		err        string
	}{
		{name: "as it is", text: minutes, want: []float64{60, 120, 180, 240}, step: time.Minute},
		{name: "rate", text: minutes, options: Options{Unit: PerSecond}, want: []float64{3600, 7200, 10800, 14400}, step: time.Minute},
		{name: "total", text: minutes, options: Options{Unit: Total}, want: []float64{60, 60, 60}, step: time.Minute},
		{name: "total that begins anew", text: "t,v\n0,100\n60,160\n120,30\n180,60\n", options: Options{Unit: Total}, want: []float64{60, 30, 30}, step: time.Minute},
		{name: "total over a gap", text: "t,v\n0,0\n60,60\n120,120\n300,480\n", options: Options{Unit: Total}, want: []float64{60, 60, 120, 120, 120}, step: time.Minute},
		{name: "scale", text: minutes, options: Options{Scale: 0.5}, want: []float64{30, 60, 90, 120}, step: time.Minute},
		{name: "peak", text: minutes, options: Options{Peak: 8}, want: []float64{120, 240, 360, 480}, step: time.Minute},
		{name: "from a time", text: minutes, options: Options{From: "2024-05-01T00:02:00Z"}, want: []float64{180, 240}, step: time.Minute},
		{name: "to a time after the beginning", text: minutes, options: Options{To: "2m"}, want: []float64{60, 120}, step: time.Minute},
		{name: "from a day after it", text: minutes, options: Options{From: "1d"}, err: "fewer than two rows lie in the time asked for; it lasts from 2024-05-01 00:00:00 to 2024-05-01 00:03:00: move -from and -to"},
		{name: "from a word", text: minutes, options: Options{From: "monday"}, err: `-from "monday" is neither a time`},
		{name: "from a date without dates", text: wide, options: Options{Columns: []string{"a"}, From: "2024-05-01"}, err: "the trace's times are of another kind"},
		{name: "a gap", text: gap, want: []float64{1, 2, 3, 5, 7, 9}, step: time.Minute},
		{name: "a gap without load", text: gap, options: Options{Gaps: GapZero}, want: []float64{1, 2, 3, 0, 0, 9}, step: time.Minute},
		{name: "a gap closed", text: gap, options: Options{Gaps: GapClose}, want: []float64{1, 2, 3, 9}, step: time.Minute},
		{name: "no gap allowed", text: gap, options: Options{Gaps: GapError}, err: "rows missing: 2 of 6, the longest gap 2m from 3m after the beginning: say -gaps line, zero or close"},
		{name: "mostly gaps", text: "t,v\n0,1\n60,2\n600,3\n660,1\n", err: "rows missing: 8 of 12, if a row is 1m: say -gaps zero"},
		{name: "columns", text: wide, options: Options{Columns: []string{"b"}}, want: []float64{10, 20, 30}, step: time.Minute},
		{name: "columns by number", text: wide, options: Options{Columns: []string{"2"}}, want: []float64{1, 2, 3}, step: time.Minute},
		{name: "all columns", text: wide, options: Options{Columns: []string{"all"}}, want: []float64{11, 22, 33}, step: time.Minute},
		{name: "no such column", text: wide, options: Options{Columns: []string{"c"}}, err: `it has no column "c": name "a", "b"`},
		{name: "the time as a column", text: wide, options: Options{Columns: []string{"time"}}, err: `column "time" holds the times`},
		{name: "several columns that rise", text: wide, options: Options{Columns: []string{"all"}, Unit: Total}, err: "counters that rise can't be added up"},
		{name: "doubled", text: "t,v\n0,1\n0,2\n60,3\n", err: "x.csv:3: the time of line 2 again, with 2 instead of 1: say what counts"},
		{name: "doubled, sum", text: "t,v\n0,1\n0,2\n60,3\n", options: Options{Rows: Counts, Doubled: DoubledSum}, want: []float64{3, 3}, step: time.Minute},
		{name: "doubled, first", text: "t,v\n0,1\n0,2\n60,3\n", options: Options{Doubled: DoubledFirst}, want: []float64{1, 3}, step: time.Minute},
		{name: "doubled, last", text: "t,v\n0,1\n0,2\n60,3\n", options: Options{Doubled: DoubledLast}, want: []float64{2, 3}, step: time.Minute},
		{name: "counts without times", text: "5\n7\n9\n", options: Options{Rows: Counts, Step: time.Minute}, want: []float64{5, 7, 9}, step: time.Minute},
		{name: "counts without times or a step", text: "5\n7\n9\n", options: Options{Rows: Counts}, err: "say with -step how long a row stands for"},
		{name: "longer steps for counts", text: minutes, options: Options{Step: 2 * time.Minute}, want: []float64{60, 300, 240}, step: 2 * time.Minute},
		{name: "requests in minutes", text: "0\n30\n61\n119\n", options: Options{Step: time.Minute}, want: []float64{2, 2}, step: time.Minute},
		{name: "a negative", text: "t,v\n0,1\n60,-2\n", err: "x.csv:3: a count of -2: less than no request can't have come"},
		{name: "infinite", text: "t,v\n0,1\n60,Inf\n", err: "x.csv:3: a count of +Inf: more than can be"},
		{name: "a word", text: "t,count\n0,1\n60,12.3 req/s\n", err: `x.csv:3: column 2: "12.3 req/s" is no number: export plain numbers, without units`},
		{name: "another time", text: "t,count\n0,1\n2024-05-01,2\n", err: `x.csv:3: "2024-05-01" is no time in seconds like those before`},
		{name: "a short line", text: "t,count\n0,1\n60\n", err: "x.csv:3: 1 columns, and the counts are in column 2"},
		{name: "a quote", text: "t,count\n0,1\n60,\"2\n", err: "x.csv:3: no row of a table"},
		{name: "no time", text: "a,b\nc,d\n", err: "neither the first line nor the next one holds a time"},
		{name: "empty", text: "", err: "it is empty"},
		{name: "a header alone", text: "time,count\n", err: "neither the first line nor the next one holds a time"},
		{name: "one row", text: "t,count\n0,1\n", err: "fewer than two rows"},
		{name: "no numbers", text: "t,count\n0,NaN\n60,\n", err: "no row of it has a number"},
		{name: "too long", text: "t,count\n0,1\n60,1\n40000000,1\n", err: "longer than 366 days: cut it with -from and -to"},
		{name: "under a second", text: "t,count\n0,1\n0.25,1\n0.5,1\n", err: "less than a second: say -rows requests"},
		{name: "may be requests", text: "t,bytes\n0,1\n1.5,7\n9,8\n9.2,7\n", err: "each row may be a request, or column \"bytes\" a count"},
		{name: "which column", text: wide, err: `the counts may be in any of its columns: "a", "b": name one with -column`},
		{name: "an unknown unit", text: wide, options: Options{Unit: "hertz"}, err: `unit "hertz": use count, rate or total`},
		{name: "two scales", text: wide, options: Options{Scale: 2, Peak: 3}, err: "scale and peak say the same"},
		{name: "a negative scale", text: wide, options: Options{Scale: -2}, err: "a factor and a rate above zero are needed"},
		{name: "a short step", text: wide, options: Options{Step: time.Millisecond}, err: "steps of a second and more are counted"},
		{name: "requests with a unit", text: wide, options: Options{Rows: Requests, Unit: PerStep}, err: "have neither a unit nor columns"},
		{name: "nothing to scale", text: "t,count\n0,0\n60,0\n", options: Options{Peak: 3}, err: "all counts are zero"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := Read("x.csv", strings.NewReader(tt.text), tt.options)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(s.Counts, tt.want) || s.Step != tt.step {
				t.Errorf("%v every %s, want %v every %s", s.Counts, s.Step, tt.want, tt.step)
			}
		})
	}
}

func TestErrorsSayWhere(t *testing.T) {
	t.Parallel()
	_, err := Read("week.csv", strings.NewReader("t,count\n0,1\n60,-2\n"), Options{})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.File != "week.csv" || e.Line != 3 || e.Problem == "" || e.Next == "" {
		t.Errorf("%#v", err)
	}
	if _, err := ReadFile("testdata/nowhere", Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
}

func TestCutGzip(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for i := range 5000 {
		fmt.Fprintf(z, "%d,%d\n", i*60, i*i%977)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	if s, err := Read("x", bytes.NewReader(whole), Options{}); err != nil || len(s.Counts) != 5000 {
		t.Fatalf("the whole file: %v", err)
	}
	if _, err := Read("x", bytes.NewReader(whole[:len(whole)/2]), Options{}); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("half of it: %v", err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	l := &limited{from: strings.NewReader("12345"), left: 4}
	if _, err := l.Read(make([]byte, 8)); !errors.Is(err, errTooLong) {
		t.Errorf("five bytes where four may be: %v", err)
	}
	r := &reading{file: "x", bound: 3, rows: make([]row, 3)}
	if err := r.add(row{line: 9}); err == nil || !strings.Contains(err.Error(), "x:9: more than 3 rows") {
		t.Errorf("one row too many: %v", err)
	}
}

// endless repeats a text.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	return n, nil
}

// What goes on without end is refused before it fills the memory.
func TestEndless(t *testing.T) {
	t.Parallel()
	rows := "time,count\n0,1\n60,2\n"
	for _, tt := range []struct{ name, begins, goesOn, err string }{
		{"a line", rows, "1", "x:4: no row ends within 1 MiB: look for a quote"},
		{"a first line", "", "time,", "x:1: no row ends within 1 MiB: look for a quote"},
		{"a line after the separator", "sep=;\n", "1", "x:2: no row ends within 1 MiB: look for a quote"},
		{"a quote", rows + "120,\"", "2\n", "x:4: no row ends within 1 MiB: look for a quote"},
		{"JSON", `{"status":"success","data":`, " ", "x: more than 64 MiB of JSON: ask for sum(), a longer step or a shorter time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read("x", io.MultiReader(strings.NewReader(tt.begins), &endless{text: tt.goesOn}), Options{})
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
	long := rows + "120,3," + strings.Repeat("a", mostRow-100) + "\n180,4\n"
	if s, err := Read("x", strings.NewReader(long), Options{}); err != nil || len(s.Counts) != 4 {
		t.Errorf("a long line: %v", err)
	}
}

// A counter without rows for long has a step for each that is missing.
func TestCounterOverALongGap(t *testing.T) {
	t.Parallel()
	text := "t,v\n0,0\n1,1\n2,2\n20000000,40\n"
	_, err := Read("x", strings.NewReader(text), Options{Unit: Total})
	if want := "x:5: more than 10000000 steps of 1s: cut it with -from and -to"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// Machines that write into one file by turns, with clocks that differ, count, however
// long the file is.
func TestRequestsByTurns(t *testing.T) {
	t.Parallel()
	read := func(seconds int) (*reading, error) {
		r := &reading{file: "x", bound: 100, requests: true, clock: clock{unit: int64(time.Second)}}
		for i := range 10 * seconds {
			if err := r.request(int64(i/10+i%2*3)*int64(time.Second), i+1); err != nil {
				return nil, err
			}
		}
		return r, nil
	}
	r, err := read(40)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.series()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, c := range s.Counts {
		sum += c
	}
	if sum != 400 || len(s.Counts) != 43 || len(s.Notes) != 1 {
		t.Errorf("%g requests in %d steps, notes %q", sum, len(s.Counts), s.Notes)
	}
	if _, err := read(60); err == nil || !strings.Contains(err.Error(), "requests in more than 50 steps of 1s, which are not in order of time: say a longer -step") {
		t.Errorf("error %v", err)
	}
}

// Requests are counted, none is lost, however they are ordered.
func TestRequestsAreAllCounted(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "%.3f\n", float64(i*7919%1000)+0.25)
	}
	s, err := Read("x", strings.NewReader(b.String()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, c := range s.Counts {
		sum += c
	}
	if sum != 1000 || len(s.Counts) != 1000 {
		t.Errorf("%g requests in %d steps, want 1000 in 1000", sum, len(s.Counts))
	}
}

// Whatever a file holds, what is read is a load that can be simulated, or an error.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "", "", "", int64(0))
		f.Add(text, Counts, PerSecond, DoubledSum, int64(time.Minute))
	}
	f.Add([]byte("1\n2\n"), Requests, "", "", int64(0))
	f.Add([]byte("t,v\n0,1\n60,2\n"), "", Total, DoubledLast, int64(time.Second))
	f.Fuzz(func(t *testing.T, text []byte, rows, unit, doubled string, step int64) {
		o := Options{Rows: rows, Unit: unit, Doubled: doubled, Step: time.Duration(step)}
		s, err := Read("x", bytes.NewReader(text), o)
		if err != nil {
			return
		}
		if s.Step < time.Second || len(s.Counts) < 2 || s.Lasts() > MostTime+2*s.Step {
			t.Fatalf("%d steps of %s", len(s.Counts), s.Step)
		}
		for i, c := range s.Counts {
			if !(c >= 0) || math.IsInf(c, 0) {
				t.Fatalf("step %d has a count of %g", i, c)
			}
		}
	})
}

// The traces that come with the project are whole, and read without a word said to
// help.
func TestTracesThatComeAlong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file  string
		steps int
		step  time.Duration
		sum   float64
	}{
		{"worldcup98/worldcup98_requests_per_minute.csv.gz", 125_310, time.Minute, 1_352_804_107},
		{"nab/elb_request_count_8c0756.csv.gz", 4_032, 5 * time.Minute, 249_327},
		{"azure_llm_2023/azure_llm_2023_code_requests_per_second.csv.gz", 3_436, time.Second, 8_819},
		{"azure_llm_2023/azure_llm_2023_conv_requests_per_second.csv.gz", 3_502, time.Second, 19_366},
		{"nab/Twitter_volume_AMZN.csv.gz", 15_831, 5 * time.Minute, 843_768},
		{"nab/Twitter_volume_GOOG.csv.gz", 15_842, 5 * time.Minute, 328_506},
		{"nab/Twitter_volume_FB.csv.gz", 15_833, 5 * time.Minute, 282_006},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			s, err := ReadFile("../../../bench/traces/"+tt.file, Options{Gaps: GapClose})
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for _, c := range s.Counts {
				sum += c
			}
			if len(s.Counts) != tt.steps || s.Step != tt.step || sum != tt.sum {
				t.Errorf("%d steps of %s, %g requests, want %d, %s, %g; notes %q", len(s.Counts), s.Step, sum, tt.steps, tt.step, tt.sum, s.Notes)
			}
		})
	}
}
