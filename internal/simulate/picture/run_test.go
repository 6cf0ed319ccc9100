package picture

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
)

// A run is drawn with all its curves, and beside another one to the same scale.
func TestOf(t *testing.T) {
	t.Parallel()
	run := func(cells float64) Panel {
		c := &simulate.Curves{
			Step: 5 * time.Second, Load: []float64{1, 2, 3}, Demand: []float64{1, 1, 2},
			Ready: []float64{1, cells, cells}, Ordered: []float64{cells, cells, cells}, Wait: []float64{0, 4, 0},
		}
		return Of("ours", "fine", c, 90*time.Second)
	}
	panels := []Panel{run(3), run(40)}
	Alike(panels, Cells)
	for i, p := range panels {
		if len(p.Plots) != 3 || p.Plots[1].Most != 40 || p.Plots[0].Most != 0 || p.Plots[2].Bound != 90 {
			t.Errorf("panel %d: %+v", i, p)
		}
	}
	var b bytes.Buffer
	if err := (Picture{Title: "x", Panels: panels, Columns: 2}).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"line load", "area demand", "line ready", "line ordered", "line wait", ">needed<", "slow from 1m30s on"} {
		if got := strings.Count(b.String(), want); got < 2 {
			t.Errorf("%q is there %d times, want it in both panels", want, got)
		}
	}
}
