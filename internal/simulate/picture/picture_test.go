package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what was drawn into the golden files")

// wave is a made load with a calm and a peak.
func wave(n int, height float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = height * (1.1 - math.Cos(2*math.Pi*float64(i)/float64(n))) / 2
	}
	return values
}

func counts(values []float64, per float64) []float64 {
	all := make([]float64, len(values))
	for i, v := range values {
		all[i] = math.Ceil(v / per)
	}
	return all
}

// panel is what a run is drawn as.
func panel(n int, step time.Duration) Panel {
	load := wave(n, 900)
	wait := make([]float64, n)
	for i := range wait {
		wait[i] = max(0, math.Sin(float64(i)/7)-0.6) * 20
	}
	if n > 9 {
		wait[9] = math.Inf(1)
	}
	return Panel{Step: step, Plots: []Plot{
		{Name: "Load", Unit: "requests/s", Lines: []Line{{Kind: Load, Values: load}}},
		{Name: "Cells", Lines: []Line{
			{Name: "demand", Kind: Demand, Values: counts(load, 90), Steps: true},
			{Name: "ordered", Kind: Ordered, Values: counts(load, 60), Steps: true},
			{Name: "ready", Kind: Ready, Values: counts(load, 70), Steps: true},
		}},
		{Name: "Waiting", Unit: "s", Lines: []Line{{Kind: Wait, Values: wait}}, Bound: 5, BoundName: "slow from 5s on"},
	}}
}

func pictures() map[string]Picture {
	dated := panel(120, time.Minute)
	dated.Start = time.Date(2024, 5, 1, 23, 10, 0, 0, time.UTC)
	dated.Title, dated.Note = "homeostat", "0.31 % slow at a cost of 1.52 & <little> else"
	var shapes []Panel
	for _, name := range []string{"step x2", "step x10", "ramp", "impulse"} {
		p := panel(40, 15*time.Second)
		p.Title, p.Note = name, "most 26, settled in 200 s"
		shapes = append(shapes, p)
	}
	wide := dated
	wide.Wide = true
	gap := panel(30, time.Second)
	for i := 10; i < 14; i++ {
		gap.Plots[0].Lines[0].Values[i] = math.NaN()
	}
	return map[string]Picture{
		"run":       {Title: "pods under load", Subtitle: "two hours", Panels: []Panel{dated}},
		"multiples": {Title: "Shapes", Subtitle: "from 9 cells", Panels: shapes, Columns: 3},
		"wide":      {Title: "One above the others", Panels: append([]Panel{wide}, shapes[:3]...), Columns: 2},
		"gap":       {Title: "A gap", Panels: []Panel{gap}},
		"empty":     {Title: "Nothing", Panels: []Panel{{Plots: []Plot{{Name: "Load"}}}}},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, p := range pictures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := p.Write(&b); err != nil {
				t.Fatal(err)
			}
			wellFormed(t, b.Bytes())
			golden := "testdata/" + name + ".svg"
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), want) {
				t.Errorf("%s is drawn otherwise; -update writes what is drawn now", golden)
			}
		})
	}
}

// wellFormed reads the picture as XML, and looks for numbers that are none.
func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range element.Attr {
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("%s of %s: %s", a.Name.Local, element.Name.Local, a.Value)
			}
		}
	}
}

// A week has a peak of one beat; it must be in the picture, which must stay small.
func TestPeaksAreKept(t *testing.T) {
	t.Parallel()
	values := make([]float64, 7*24*720)
	for i := range values {
		values[i] = float64(i % 3)
	}
	values[77_777] = 100
	p := Picture{Title: "A week", Panels: []Panel{{Step: 5 * time.Second, Plots: []Plot{{Name: "Load", Lines: []Line{{Kind: Load, Values: values}}}}}}}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	top := coordinate(headHeight + p.Panels[0].head() + plotHead)
	if !strings.Contains(b.String(), " "+top) && !strings.Contains(b.String(), "V"+top) {
		t.Errorf("no point of the curve is at the upper edge, %s", top)
	}
	if b.Len() > 100_000 {
		t.Errorf("%d bytes", b.Len())
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for highest, want := range map[float64]float64{0: 1, 0.7: 0.8, 9: 10, 26: 30, 1234: 1500, math.NaN(): 1} {
		ticks, most := valueTicks(highest, 130)
		if math.Abs(most-want) > 1e-9 || len(ticks) < 2 || ticks[0] != 0 {
			t.Errorf("highest %g: up to %g by %v, want up to %g", highest, most, ticks, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 20: "20", 1500: "1.5k", 2e6: "2M", 3e9: "3G"} {
		if got := figure(v); got != want {
			t.Errorf("%g is written %q, want %q", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0", 90 * time.Second: "90 s", 5 * time.Minute: "5 min", 90 * time.Minute: "1 h 30", 48 * time.Hour: "2 d"} {
		if got := since(d); got != want {
			t.Errorf("%s is written %q, want %q", d, got, want)
		}
	}
}

// broken fails as a full disk does.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestWriteFails(t *testing.T) {
	t.Parallel()
	if err := pictures()["run"].Write(broken{}); err == nil || !strings.Contains(err.Error(), "write the picture: no space left") {
		t.Errorf("%v", err)
	}
}
