package picture

import (
	"bufio"
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// canvas writes elements, and keeps the first error.
type canvas struct {
	out *bufio.Writer
	err error
}

func (c *canvas) print(format string, args ...any) {
	if _, err := fmt.Fprintf(c.out, format, args...); err != nil && c.err == nil {
		c.err = err
	}
}

// text writes a line of text, anchored at its start, its middle or its end.
func (c *canvas) text(x, y float64, class, anchor, text string) {
	if text == "" {
		return
	}
	if anchor != "" {
		anchor = ` text-anchor="` + anchor + `"`
	}
	c.print(`<text x="%s" y="%s" class="%s"%s>%s</text>`+"\n", coordinate(x), coordinate(y), class, anchor, html.EscapeString(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	c.print(`<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`+"\n", coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2), class)
}

// coordinate writes a tenth of a pixel at most.
func coordinate(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func (p Panel) draw(c *canvas, b box) {
	y := b.y
	if p.Title != "" {
		c.text(b.x, y+16, "panel", "", p.Title)
		y += 14
	}
	if p.Note != "" {
		c.text(b.x, y+18, "dim", "", p.Note)
	}
	y = b.y + p.head()
	area := frame{left: b.x + axisWidth, right: b.x + b.width, height: b.plotHeight}
	for _, plot := range p.Plots {
		area.top = y + plotHead
		plot.draw(c, b.x, area, p)
		y += plotHead + b.plotHeight + plotGap
	}
	for _, t := range p.times(area.right - area.left) {
		x, anchor := area.left+t.share*(area.right-area.left), "middle"
		if x > area.right-18 { // it would be cut at the picture's edge
			x, anchor = area.right, "end"
		}
		c.text(x, area.top+area.height+16, "tick", anchor, t.text)
	}
}

// frame is where the curves of a plot are.
type frame struct{ left, right, top, height float64 }

// y is where a value stands on an axis that reaches to most.
func (f frame) y(v, most float64) float64 {
	return f.top + f.height*(1-min(max(v/most, 0), 1))
}

func (p Plot) draw(c *canvas, x float64, f frame, panel Panel) {
	p.legend(c, x, f)
	ticks, most := valueTicks(p.highest(), f.height)
	for _, v := range ticks {
		y := f.y(v, most)
		c.line(f.left, y, f.right, y, "grid")
		c.text(f.left-6, y+4, "tick", "end", figure(v))
	}
	for _, t := range panel.times(f.right - f.left) {
		at := f.left + t.share*(f.right-f.left)
		c.line(at, f.top, at, f.top+f.height, "grid")
	}
	span := panel.values()
	for _, l := range p.Lines {
		l.draw(c, f, most, span)
	}
	if p.Bound > 0 {
		y := f.y(p.Bound, most)
		c.line(f.left, y, f.right, y, "bound")
	}
}

// legend names the plot and its lines above it. Words are about as wide as here.
func (p Plot) legend(c *canvas, x float64, f frame) {
	const perLetter, swatch = 7, 18
	y := f.top - 11
	name := p.Name
	if p.Unit != "" {
		name += ", " + p.Unit
	}
	c.text(x, y, "", "", name)
	at := x + perLetter*float64(len([]rune(name))) + 18
	for _, l := range p.Lines {
		if l.Name == "" {
			continue
		}
		if l.Kind == Demand {
			c.print(`<rect x="%s" y="%s" width="%d" height="8" class="area %s"/>`+"\n", coordinate(at), coordinate(y-8), swatch, l.Kind)
		} else {
			c.line(at, y-4, at+swatch, y-4, "line "+string(l.Kind))
		}
		c.text(at+swatch+5, y, "dim", "", l.Name)
		at += swatch + 5 + perLetter*float64(len([]rune(l.Name))) + 14
	}
	if p.Bound > 0 {
		c.line(at, y-4, at+swatch, y-4, "bound")
		c.text(at+swatch+5, y, "dim", "", p.BoundName)
	}
}

// highest is the largest value that the axis must reach to.
func (p Plot) highest() float64 {
	highest := max(p.Most, p.Bound*1.15)
	for _, l := range p.Lines {
		for _, v := range l.Values {
			if !math.IsInf(v, 0) && v > highest {
				highest = v
			}
		}
	}
	return highest
}

// draw draws the curve, and paints below it where its kind says so. Its values are
// spread over as many as the panel's longest line has.
func (l Line) draw(c *canvas, f frame, most float64, span int) {
	points := l.points(f, most, span)
	for _, run := range points {
		if l.Kind.filled() {
			base := f.top + f.height
			c.print(`<path class="area %s" d="%s"/>`+"\n", l.Kind,
				path(append(append([]point{{run[0].x, base}}, run...), point{run[len(run)-1].x, base}), l.Steps)+"Z")
		}
		c.print(`<path class="line %s" d="%s"/>`+"\n", l.Kind, path(run, l.Steps))
	}
}

type point struct{ x, y float64 }

// path writes points as a path; with steps the value holds until the next point.
func path(points []point, steps bool) string {
	var b strings.Builder
	last := point{math.NaN(), math.NaN()}
	for i, p := range points {
		x, y := coordinate(p.x), coordinate(p.y)
		switch {
		case i == 0:
			b.WriteString("M" + x + " " + y)
		case p == last:
		case p.y == last.y || steps && p.x != last.x:
			b.WriteString("H" + x)
			if p.y != last.y {
				b.WriteString("V" + y)
			}
		case p.x == last.x:
			b.WriteString("V" + y)
		default:
			b.WriteString("L" + x + " " + y)
		}
		last = p
	}
	return b.String()
}
