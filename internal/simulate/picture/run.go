package picture

import (
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// Cells is the name of the plot of cells.
const Cells = "Cells"

// Alike has the plots of a name reach equally high in all panels, so that they can
// be compared by eye.
func Alike(panels []Panel, name string) {
	most := 0.0
	for _, p := range panels {
		for _, plot := range p.Plots {
			if plot.Name == name {
				most = max(most, plot.highest())
			}
		}
	}
	for _, p := range panels {
		for i := range p.Plots {
			if p.Plots[i].Name == name {
				p.Plots[i].Most = most
			}
		}
	}
}

// Of is the panel of a run: its load, its cells, and how long requests waited,
// with the bound on waiting.
func Of(title, note string, c *simulate.Curves, bound time.Duration) Panel {
	return Panel{
		Title: title, Note: note, Step: c.Step,
		Plots: []Plot{
			{Name: "Load", Unit: "requests/s", Lines: []Line{{Kind: Load, Values: c.Load}}},
			{Name: Cells, Lines: []Line{
				{Name: "needed", Kind: Demand, Values: c.Demand, Steps: true},
				{Name: "ordered", Kind: Ordered, Values: c.Ordered, Steps: true},
				{Name: "ready", Kind: Ready, Values: c.Ready, Steps: true},
			}},
			{
				Name: "Waiting", Unit: "s", Lines: []Line{{Kind: Wait, Values: c.Wait}},
				Bound: bound.Seconds(), BoundName: "slow from " + bound.String() + " on",
			},
		},
	}
}
