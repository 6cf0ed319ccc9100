package main

import (
	"bytes"
	"fmt"

	"github.com/google/renameio/v2"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/picture"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trial"
)

// draw draws what each did with the first of the seeds.
func (sim *simulation) draw(contestants []trial.Contestant) error {
	p := picture.Picture{
		Title:    sim.service.Name + " under the load of " + sim.traceName(),
		Subtitle: fmt.Sprintf("%s, births of %s, with the first seed", sim.loadFigures(), inWords(sim.birth.Median)),
	}
	for i, c := range contestants {
		w := c.World
		w.Curves = true
		r := simulate.Run(w, sim.load, c.Law.New(w), 1)
		note := fmt.Sprintf("%s %% slow, cost %s, %s changes an hour", table.Figure(r.Slow), table.Figure(r.Cost), table.Figure(r.ChangesAHour))
		panel := picture.Of(c.Name, note, r.Curves, w.SLO)
		panel.Wide = i == 0
		if i > 0 { // the load is the same
			panel.Plots = panel.Plots[1:]
		}
		if sim.series.Dated {
			panel.Start = sim.series.Start
		}
		p.Panels = append(p.Panels, panel)
	}
	picture.Alike(p.Panels, picture.Cells)
	p.Columns = min(len(p.Panels), 2)
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		return err
	}
	if err := renameio.WriteFile(sim.picture, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the picture %s: %w", sim.picture, err)
	}
	return nil
}
