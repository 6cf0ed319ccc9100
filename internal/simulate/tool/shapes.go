package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/contest"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/picture"
)

// shapes runs ours and the most used peer over loads of simple forms, and draws
// ours.
func shapes(_ context.Context, o *options) error {
	all := slices.DeleteFunc(contest.Shapes(), func(s contest.Shape) bool { return !o.born(s.Birth) })
	ours := simulate.Ours("ours", simulate.OurPolicy())
	laws := []simulate.Entry{ours}
	if !o.ours {
		laws = append(laws, simulate.HPA(0.7))
	}
	t := contest.Settlings(all, laws, o.seeds)
	if err := o.print(t); err != nil {
		return err
	}
	if err := o.save("shapes", t); err != nil {
		return err
	}
	return o.draw(all, ours)
}

// draw makes a picture for each kind of shape, a panel a birth.
func (o *options) draw(all []contest.Shape, law simulate.Entry) error {
	if o.out == "" {
		return nil
	}
	pictures := map[string]*picture.Picture{}
	for _, s := range all {
		p := pictures[s.Name]
		if p == nil {
			p = &picture.Picture{Title: s.Name, Subtitle: "Our law, from nine cells", Columns: 2}
			pictures[s.Name] = p
		}
		p.Panels = append(p.Panels, panel(s, s.Settle(law, 1)))
	}
	for name, p := range pictures {
		if err := o.write("shape-"+fileName(name)+".svg", p); err != nil {
			return err
		}
	}
	return nil
}

// panel shows the last quarter of the calm hour and two hours from the change on.
func panel(s contest.Shape, st contest.Settling) picture.Panel {
	c := st.Curves
	from, to := int(45*time.Minute/c.Step), int(3*time.Hour/c.Step)
	cut := func(values []float64) []float64 { return values[from:min(to, len(values))] }
	way := "overlapping"
	if s.Serial {
		way = "serial"
	}
	p := picture.Of(fmt.Sprintf("D %s, %s", s.Birth, way), fmt.Sprintf("most %d of %d needed", st.Most, st.Needed), &simulate.Curves{
		Step: c.Step, Demand: cut(c.Demand), Ordered: cut(c.Ordered), Ready: cut(c.Ready), Wait: cut(c.Wait),
	}, simulate.OurPolicy().WaitBound)
	p.Plots = p.Plots[1:] // the picture is called after its load
	return p
}

func (o *options) write(name string, p *picture.Picture) error {
	f, err := os.Create(filepath.Join(o.out, name))
	if err != nil {
		return fmt.Errorf("write the picture %s: %w", name, err)
	}
	if err := p.Write(f); err != nil {
		_ = f.Close()
		return fmt.Errorf("write the picture %s: %w", name, err)
	}
	return f.Close()
}

// fileName is a name that is easy to type.
func fileName(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		default:
			return '-'
		}
	}, name), "-")
}
