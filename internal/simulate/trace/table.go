package trace

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
)

// sniffed is how many rows are looked at to find out what a table holds.
const sniffed = 1000

// record is one line of a table.
type record struct {
	cells []string
	line  int
}

// mostRow bounds a row, in bytes, with the comments and empty lines before it. A
// file without ends of lines, or with a quote that is never closed, would else be
// taken whole.
const mostRow = 1 << 20

// errRowTooLong says that no row ends within mostRow.
var errRowTooLong = errors.New("no row ends within 1 MiB")

// tableReader gives the lines of a table one after the other.
type tableReader struct {
	*csv.Reader
	file *reading
	in   *rowBound
	skip int // lines before those that the csv.Reader sees
	last int // the line of the row before, 0 for none
}

// rowBound ends in an error what goes on for longer than a row may.
type rowBound struct {
	from io.Reader
	left int
}

func (b *rowBound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (t *tableReader) next() (record, error) {
	t.in.left = mostRow
	cells, err := t.Read()
	if errors.Is(err, io.EOF) {
		return record{}, io.EOF
	}
	var parse *csv.ParseError
	switch {
	case errors.Is(err, errRowTooLong):
		return record{}, t.file.wrong(t.last+1, "look for a quote that isn't closed, and whether it is text in lines", "%v", err)
	case errors.As(err, &parse):
		return record{}, t.file.wrong(parse.Line+t.skip, "quote cells as in \"a, b\", a quote in them twice", "no row of a table: %v", parse.Err)
	case err != nil:
		return record{}, t.file.wrong(0, "", "read it: %v", err)
	}
	line, _ := t.FieldPos(0)
	t.last = line + t.skip
	return record{cells: cells, line: t.last}, nil
}

// table reads rows of cells.
func (r *reading) table(in source) error {
	t, err := r.openTable(in)
	if err != nil {
		return err
	}
	var head []record
	for len(head) <= sniffed {
		rec, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		rec.cells = slices.Clone(rec.cells)
		head = append(head, rec)
	}
	l, body, err := r.layout(head)
	if err != nil {
		return err
	}
	for _, rec := range body {
		if err := r.take(l, rec); err != nil {
			return err
		}
	}
	for {
		rec, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = r.take(l, rec)
		}
		if err != nil {
			return err
		}
	}
}

// openTable finds out what stands between cells, from the first line that isn't
// empty: spreadsheets may say it themselves, as sep=;.
func (r *reading) openTable(in source) (*tableReader, error) {
	t := &tableReader{file: r}
	line, err := firstLine(in.Reader)
	if err != nil {
		return nil, r.wrong(0, "", "read it: %v", err)
	}
	var comma rune
	if sep, ok := bytes.CutPrefix(line, []byte("sep=")); ok && len(sep) == 1 {
		comma = rune(sep[0])
		if _, err := in.ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
			return nil, r.wrong(0, "", "read it: %v", err)
		}
		t.skip, t.last = 1, 1
	} else {
		comma = delimiter(string(line))
	}
	if strings.ContainsRune("\"\r\n\ufffd", comma) || comma == 0 {
		return nil, r.wrong(1, "use a comma, a semicolon or a tabulator", "%q can't stand between cells", comma)
	}
	t.in = &rowBound{from: in}
	t.Reader = csv.NewReader(t.in)
	t.Comma, t.ReuseRecord, t.FieldsPerRecord = comma, true, -1
	t.TrimLeadingSpace = comma != '\t'
	if comma != '#' {
		t.Comment = '#'
	}
	return t, nil
}

// firstLine looks at the first line that isn't empty, as far as it is buffered.
func firstLine(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(in.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for line := range bytes.Lines(head) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return line, nil
		}
	}
	return nil, nil
}

// delimiter is what stands between the cells of a line.
func delimiter(line string) rune {
	for _, d := range "\t;," {
		if strings.ContainsRune(line, d) {
			return d
		}
	}
	if _, ok := clockOf(line); ok || !strings.Contains(line, " ") {
		return ','
	}
	return ' '
}

// take adds one line of a table.
func (r *reading) take(l *layout, rec record) error {
	if len(rec.cells) == 1 && strings.TrimSpace(rec.cells[0]) == "" {
		return nil
	}
	at, err := r.timeOf(l, rec)
	if err != nil {
		return err
	}
	if r.requests {
		return r.request(at, rec.line)
	}
	sum, known := 0.0, false
	for _, i := range l.values {
		if i >= len(rec.cells) {
			return r.wrong(rec.line, "look whether the line is whole", "%d columns, and the counts are in column %d", len(rec.cells), i+1)
		}
		v, err := number(strings.TrimSpace(rec.cells[i]))
		if err != nil {
			return r.wrong(rec.line, "export plain numbers, without units", "column %d: %v", i+1, err)
		}
		if !math.IsNaN(v) {
			sum, known = sum+v, true
		}
	}
	if !known {
		sum = math.NaN()
	}
	return r.add(row{at: at, value: sum, line: rec.line})
}

// timeOf is the time of a line.
func (r *reading) timeOf(l *layout, rec record) (int64, error) {
	if r.clock.index {
		l.rows++
		return int64(l.rows-1) * int64(r.options.Step), nil
	}
	if l.time >= len(rec.cells) {
		return 0, r.wrong(rec.line, "look whether the line is whole", "%d columns, and the time is in column %d", len(rec.cells), l.time+1)
	}
	at, err := r.clock.parse(rec.cells[l.time])
	if err != nil {
		return 0, r.wrong(rec.line, "write all times the same way", "%v", err)
	}
	return at, nil
}
