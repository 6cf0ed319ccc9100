package picture

import (
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// Of is the panel of a run: its load, its cells, and how long requests waited,
// with the bound on waiting.
func Of(title, note string, c *simulate.Curves, bound time.Duration) Panel {
	return Panel{
		Title: title, Note: note, Step: c.Step,
		Plots: []Plot{
			{Name: "Load", Unit: "requests/s", Lines: []Line{{Kind: Load, Values: c.Load}}},
			{Name: "Cells", Lines: []Line{
				{Name: "demand", Kind: Demand, Values: c.Demand, Steps: true},
				{Name: "ready", Kind: Ready, Values: c.Ready, Steps: true},
				{Name: "ordered", Kind: Ordered, Values: c.Ordered, Steps: true},
			}},
			{
				Name: "Waiting", Unit: "s", Lines: []Line{{Kind: Wait, Values: c.Wait}},
				Bound: bound.Seconds(), BoundName: "bound " + bound.String(),
			},
		},
	}
}
