// Package picture draws what a simulation did as SVG: load, cells and waiting over
// time, one panel for a run, or small multiples for several.
//
// A picture is one file without scripts, fonts or anything to fetch. It follows the
// reader's choice of light or dark, and is light where nobody chose. Colours are
// those of Okabe and Ito, "Color Universal Design", 2008, which people who don't
// tell red from green can tell, too; lines also differ by how they are drawn.
//
// A week has more beats than a picture has columns: each column then shows the
// least and the most of its beats, so that no peak is lost.
package picture

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"time"
)

// Picture is one or more panels.
type Picture struct {
	Title, Subtitle string
	Panels          []Panel
	// Columns is how many panels stand beside each other; 1.
	Columns int
}

// Panel is plots above each other over one time axis.
type Panel struct {
	Title, Note string
	Plots       []Plot
	// Step is the time between two values of a line.
	Step time.Duration
	// Start is when the first value is of; zero: the axis counts from 0.
	Start time.Time
	// Wide says that the panel has a row of its own.
	Wide bool
}

// Plot is lines over one axis of values.
type Plot struct {
	// Name says what the values are, Unit in what.
	Name, Unit string
	Lines      []Line
	// Bound is drawn across, with its name, where it is above zero.
	Bound     float64
	BoundName string
	// Most is the least that the axis reaches to.
	Most float64
}

// Line is one curve. An infinite value is drawn at the upper edge, and one that is
// no number not at all.
type Line struct {
	Name   string
	Kind   Kind
	Values []float64
	// Steps says that a value holds until the next one: counts do.
	Steps bool
}

// Kind is what a line shows, and so how it is drawn.
type Kind string

// The kinds of lines.
const (
	Load    Kind = "load"
	Demand  Kind = "demand" // an area
	Ready   Kind = "ready"
	Ordered Kind = "ordered" // dashed
	Wait    Kind = "wait"    // an area with a line above
)

// filled reports whether the room below the line is painted.
func (k Kind) filled() bool { return k == Demand || k == Wait || k == Load }

// Sizes, in pixels of the picture's own.
const (
	pageWidth    = 960
	margin       = 16
	headHeight   = 52
	panelHead    = 38
	axisWidth    = 46
	axisHeight   = 30
	plotHead     = 26
	plotGap      = 8
	plotHeight   = 130
	narrowHeight = 80 // of a plot where panels stand beside each other
	panelGap     = 20
)

// style is light, and dark for those who asked for it. Not every program knows
// variables of CSS, so each colour stands where it is used.
const style = `
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f; }
.title { font-size: 17px; font-weight: 600; }
.panel { font-size: 14px; font-weight: 600; }
.dim, .tick { fill: #57606a; }
.tick { font-size: 11px; }
.page { fill: #ffffff; }
.grid { stroke: #d8dee4; stroke-width: 1; }
.bound { stroke: #57606a; stroke-width: 1; stroke-dasharray: 2 3; }
.line { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
.line.load { stroke: #0072b2; } .area.load { fill: #0072b2; fill-opacity: 0.12; }
.line.demand { stroke: #8c959f; stroke-width: 1; } .area.demand { fill: #8c959f; fill-opacity: 0.35; }
.line.ready { stroke: #00805d; stroke-width: 2; }
.line.ordered { stroke: #d55e00; stroke-dasharray: 4 2; }
.line.wait { stroke: #b3467f; } .area.wait { fill: #b3467f; fill-opacity: 0.2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.dim, .tick { fill: #9198a1; }
.page { fill: #0d1117; }
.grid { stroke: #2a313a; }
.bound { stroke: #9198a1; }
.line.load { stroke: #56b4e9; } .area.load { fill: #56b4e9; }
.line.demand { stroke: #7d8590; } .area.demand { fill: #7d8590; }
.line.ready { stroke: #2dd4a4; }
.line.ordered { stroke: #ff9d4d; }
.line.wait { stroke: #f08cc0; } .area.wait { fill: #f08cc0; }
}
`

// Write writes the picture.
func (p Picture) Write(w io.Writer) error {
	c := &canvas{out: bufio.NewWriter(w)}
	columns := max(p.Columns, 1)
	boxes, height := p.boxes(columns)
	c.print(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`+"\n",
		pageWidth, height, pageWidth, height)
	c.print("<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", html.EscapeString(p.Title), html.EscapeString(p.describe()))
	c.print("<style>%s</style>\n<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n", style, pageWidth, height)
	c.text(margin, 26, "title", "", p.Title)
	c.text(margin, 44, "dim", "", p.Subtitle)
	for i, panel := range p.Panels {
		panel.draw(c, boxes[i])
	}
	c.print("</svg>\n")
	if c.err != nil {
		return fmt.Errorf("write the picture: %w", c.err)
	}
	if err := c.out.Flush(); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return nil
}

// describe is what is read to those who can't see the picture.
func (p Picture) describe() string {
	text := p.Subtitle
	for _, panel := range p.Panels {
		if panel.Title != "" {
			text += "; " + panel.Title
		}
		if panel.Note != "" {
			text += ": " + panel.Note
		}
	}
	return text
}

// box is where a panel stands.
type box struct{ x, y, width, plotHeight float64 }

// boxes lays the panels out in rows, and returns how high the picture is.
func (p Picture) boxes(columns int) ([]box, int) {
	width := float64(pageWidth-2*margin-(columns-1)*panelGap) / float64(columns)
	plot := float64(plotHeight)
	if columns > 1 {
		plot = narrowHeight
	}
	boxes := make([]box, len(p.Panels))
	y, column, highest := float64(headHeight), 0, 0.0
	next := func() {
		if column > 0 {
			y += highest + panelGap
		}
		column, highest = 0, 0
	}
	for i, panel := range p.Panels {
		b := box{width: width, plotHeight: plot}
		if panel.Wide {
			next()
			b.width, b.plotHeight = pageWidth-2*margin, plotHeight
		}
		b.x, b.y = margin+float64(column)*(width+panelGap), y
		boxes[i] = b
		highest = max(highest, panel.height(b.plotHeight))
		if column++; column == columns || panel.Wide {
			next()
		}
	}
	next()
	return boxes, int(y) + margin - panelGap
}

func (p Panel) height(plot float64) float64 {
	return p.head() + float64(len(p.Plots))*(plot+plotHead+plotGap) + axisHeight - plotGap
}

// head is how high what stands above the plots is.
func (p Panel) head() float64 {
	switch {
	case p.Title == "" && p.Note == "":
		return 8
	case p.Title == "" || p.Note == "":
		return panelHead - 14
	}
	return panelHead
}
