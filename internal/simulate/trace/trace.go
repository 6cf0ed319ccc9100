// Package trace reads recorded load: how many requests, or messages, came when.
//
// A file is one of these, compressed with gzip or bzip2 or not at all, whatever
// its name says:
//
//   - counts: rows of a time and a number, such as exports of databases,
//     spreadsheets and dashboards;
//   - requests: rows that begin with a time, each one a request;
//   - Prometheus: the JSON that a range query answers with.
//
// What the file leaves open is taken from the names of its columns and from how
// regular its times are, and said in Series.Notes; Options decides instead where
// it is set. What can't be right (a negative count, two counts of one time) is an
// *Error with file, line and what to do, where -gaps is what Options.Gaps is called
// on the command line.
//
// The package leaves out what is done with the load: that is package simulate's.
package trace

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Bounds of what is read. A file beyond them can be cut with -from and -to, or
// counted in longer steps, before it is exported.
const (
	// MostBytes is how much a file may hold once it is unpacked.
	MostBytes = 2 << 30
	// MostRows is how many rows it may hold; requests of the same step count once.
	MostRows = 10_000_000
	// MostTime is how long a load may last.
	MostTime = 366 * 24 * time.Hour
)

// What rows are, Options.Rows.
const (
	Counts   = "counts"   // each is a time and a number
	Requests = "requests" // each is one request
)

// What numbers are, Options.Unit.
const (
	PerStep   = "count" // requests from this row to the next, as of increase()
	PerSecond = "rate"  // requests a second, as of rate()
	Total     = "total" // a counter that only rises, as a Prometheus counter does
)

// What becomes of rows that are missing, Options.Gaps.
const (
	GapLine  = "line"  // a straight line from the row before to the row after
	GapZero  = "zero"  // no load
	GapClose = "close" // the row after follows the row before, as if no time had passed
	GapError = "error" // the file isn't taken
)

// What becomes of several rows of the same time, Options.Doubled.
const (
	DoubledError = "error" // the file isn't taken, unless they are equal
	DoubledSum   = "sum"   // their sum counts, as of several instances
	DoubledFirst = "first" // the one that comes first in the file counts
	DoubledLast  = "last"  // the one that comes last in the file counts
)

// Options say what a file leaves open. The zero value finds all of it out.
type Options struct {
	// Rows is Counts or Requests.
	Rows string
	// Unit is PerStep, PerSecond or Total.
	Unit string
	// Columns names the columns with the counts, by header or by number from 1;
	// several are added up, and "all" is all but the time.
	Columns []string
	// Step is how long a row stands for, or into which steps requests are
	// counted. Zero: the most frequent distance of two rows; for requests 1 s.
	Step time.Duration
	// Gaps is GapLine, GapZero, GapClose or GapError; GapLine, as long as most rows are there.
	Gaps string
	// Doubled is DoubledError, DoubledSum, DoubledFirst or DoubledLast.
	Doubled string
	// From and To cut the load: a time as it stands in the file, or how long
	// after the load's beginning, such as 36h or 2d. Empty: all of it.
	From, To string
	// Scale multiplies the load, Peak scales it to this rate a second in the
	// step with the most. Zero: as it is. Only one of them may be set.
	Scale, Peak float64
}

// Series is a load: a count for each step.
type Series struct {
	// Name is the file's, without folder and endings.
	Name string
	// Start is when the first step begins. Where Dated is false the file says only
	// how long after its own beginning, and Start is in 1970.
	Start time.Time
	Dated bool
	// Step is how long a step is, a second at least.
	Step time.Duration
	// Counts are the requests of each step: finite, not negative, at least two.
	Counts []float64
	// Notes say how the file was understood, and what was mended, a sentence each.
	Notes []string
}

// Rates are the mean rates of the steps, per second.
func (s *Series) Rates() []float64 {
	rates := make([]float64, len(s.Counts))
	for i, c := range s.Counts {
		rates[i] = c / s.Step.Seconds()
	}
	return rates
}

// Lasts is how long the load lasts.
func (s *Series) Lasts() time.Duration { return time.Duration(len(s.Counts)) * s.Step }

// note adds what a person should know of how the file was read.
func (s *Series) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// Error is what is wrong with a file, where, and what to do.
type Error struct {
	File string
	Line int // from 1; 0 where it is the file as a whole
	// Problem says what is wrong, Next what to do.
	Problem, Next string
}

func (e *Error) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Next == "" {
		return at + ": " + e.Problem
	}
	return at + ": " + e.Problem + ": " + e.Next
}

// ReadFile reads a file, "-" for the standard input.
func ReadFile(path string, o Options) (*Series, error) {
	if path == "-" {
		return Read("stdin", os.Stdin, o)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the trace: %w", err)
	}
	defer f.Close()
	return Read(path, f, o)
}

// Read reads a load. The file's name is used for Series.Name and in errors.
func Read(file string, from io.Reader, o Options) (*Series, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	r := &reading{file: file, options: o, bound: MostRows}
	in, err := unpack(from)
	if err != nil {
		return nil, r.wrong(0, "", "unpack it: %v", err)
	}
	if in.json() {
		err = r.prometheus(in)
	} else {
		err = r.table(in)
	}
	if err != nil {
		return nil, err
	}
	s, err := r.series()
	if err != nil {
		return nil, err
	}
	s.Name = name(file)
	return s, s.scale(o, r)
}

// name is a file's name without its folder and endings.
func name(file string) string {
	base := filepath.Base(file)
	if i := strings.IndexByte(base, '.'); i > 0 {
		return base[:i]
	}
	return base
}

// Check finds values that are none, whatever the file holds. Read does so, too.
func (o *Options) Check() error {
	for _, f := range []struct {
		name, value string
		allowed     []string
	}{
		{"rows", o.Rows, []string{Counts, Requests}},
		{"unit", o.Unit, []string{PerStep, PerSecond, Total}},
		{"gaps", o.Gaps, []string{GapLine, GapZero, GapClose, GapError}},
		{"doubled", o.Doubled, []string{DoubledError, DoubledSum, DoubledFirst, DoubledLast}},
	} {
		if err := oneOf(f.name, f.value, f.allowed); err != nil {
			return err
		}
	}
	switch {
	case o.Step < 0 || o.Step > 0 && o.Step < time.Second:
		return fmt.Errorf("step %s: steps of a second and more are counted", o.Step)
	case !(o.Scale >= 0) || !(o.Peak >= 0) || o.Scale > most || o.Peak > most:
		return fmt.Errorf("scale %g, peak %g: a factor and a rate above zero are needed", o.Scale, o.Peak)
	case o.Scale > 0 && o.Peak > 0:
		return fmt.Errorf("scale and peak say the same: give one of them")
	case o.Rows == Requests && (o.Unit != "" || len(o.Columns) > 0):
		return fmt.Errorf("rows that are requests have neither a unit nor columns of counts")
	}
	return nil
}

func oneOf(name, value string, allowed []string) error {
	if value == "" {
		return nil
	}
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	last := len(allowed) - 1
	return fmt.Errorf("%s %q: use %s or %s", name, value, strings.Join(allowed[:last], ", "), allowed[last])
}
