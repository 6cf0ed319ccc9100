// Package table writes tables of figures as text, CSV and Markdown.
package table

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table is a heading, rows as long as it, and what to say around them.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
	// Notes stand below, a line each.
	Notes []string
}

// Formats are what Write knows.
var Formats = []string{"text", "csv", "markdown"}

// Add appends a row: strings as they are, numbers by Figure, all else by %v.
func (t *Table) Add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case string:
			row[i] = c
		case float64:
			row[i] = Figure(c)
		default:
			row[i] = fmt.Sprint(c)
		}
	}
	t.Rows = append(t.Rows, row)
}

// Note appends a line below the table.
func (t *Table) Note(format string, args ...any) {
	t.Notes = append(t.Notes, fmt.Sprintf(format, args...))
}

// Figure writes a number to three digits, and not more than three after the
// point.
func Figure(v float64) string {
	switch abs := max(v, -v); {
	case abs >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case abs >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case abs >= 0.9995 || abs == 0:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// Write writes the table in a format of Formats.
func (t *Table) Write(w io.Writer, format string) error {
	switch format {
	case "text":
		return t.text(w)
	case "csv":
		return t.csv(w)
	case "markdown":
		return t.markdown(w)
	}
	return fmt.Errorf("write a table as %q: use one of %s", format, strings.Join(Formats, ", "))
}

func (t *Table) text(w io.Writer) error {
	if t.Title != "" {
		if _, err := fmt.Fprintf(w, "%s\n\n", t.Title); err != nil {
			return err
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range slices.Concat([][]string{t.Head}, t.Rows) {
		if _, err := fmt.Fprintln(tw, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return t.below(w)
}

// csv has no place for a title and notes: one table is one file.
func (t *Table) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(t.Head); err != nil {
		return err
	}
	if err := out.WriteAll(t.Rows); err != nil {
		return err
	}
	return out.Error()
}

func (t *Table) markdown(w io.Writer) error {
	var b strings.Builder
	if t.Title != "" {
		fmt.Fprintf(&b, "#### %s\n\n", t.Title)
	}
	line := func(row []string) {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = strings.ReplaceAll(c, "|", "\\|")
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	line(t.Head)
	fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(t.Head)))
	for _, row := range t.Rows {
		line(row)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return t.below(w)
}

func (t *Table) below(w io.Writer) error {
	text := "\n"
	if len(t.Notes) > 0 {
		text = "\n" + strings.Join(t.Notes, "\n") + "\n\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
