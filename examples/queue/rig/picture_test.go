package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/picture"
)

// keep writes a run and its simulation into a folder: what was recorded, the table,
// and the curves as numbers and drawn.
func keep(t *testing.T, folder string, r recorded, sim simulate.Result, a agreement) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	draw := func(path string) error {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // written whole, or the error says so
		return pictureOf(r, sim, a).Write(file)
	}
	for name, write := range map[string]func(path string) error{
		"recorded.json": r.write,
		"agreement.md":  func(path string) error { return os.WriteFile(path, []byte(a.String()), 0o644) },
		"curves.csv":    func(path string) error { return writeCurves(path, r, sim) },
		"curves.svg":    draw,
	} {
		if err := write(filepath.Join(folder, name)); err != nil {
			t.Errorf("keep %s: %v", name, err)
		}
	}
}

// pictureOf draws the load, and workers and waits of life and simulation.
func pictureOf(r recorded, sim simulate.Result, a agreement) picture.Picture {
	load, waits, simWaits := r.rates(), r.waitsBySecond(), r.simWaitsBySecond(sim)
	return picture.Picture{
		Title:    "Simulation against life",
		Subtitle: fmt.Sprintf("workers on a real queue, and the simulation of the same jobs and births: %.1f %% apart", 100*a.difference),
		Panels: []picture.Panel{{Step: time.Second, Plots: []picture.Plot{
			{Name: "Load", Unit: "jobs/s", Lines: []picture.Line{{Kind: picture.Load, Values: load}}},
			{Name: "Ready workers", Lines: []picture.Line{
				{Name: "life", Kind: picture.Ready, Values: r.Ready, Steps: true},
				{Name: "simulation", Kind: picture.Ordered, Values: sim.Curves.Ready[:len(r.Ready)], Steps: true},
			}},
			{
				Name: "Waiting", Unit: "s", Bound: upper.Seconds(), BoundName: "bound " + upper.String(),
				Lines: []picture.Line{{Name: "life", Kind: picture.Wait, Values: waits}, {Name: "simulation", Kind: picture.Ordered, Values: simWaits}},
			},
		}}},
	}
}

func writeCurves(path string, r recorded, sim simulate.Result) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // the writer's error says what went wrong
	rows := csv.NewWriter(file)
	_ = rows.Write([]string{"second", "jobs", "life_ready", "life_ordered", "life_wait", "sim_ready", "sim_ordered", "sim_wait"})
	load, waits, simWaits := r.rates(), r.waitsBySecond(), r.simWaitsBySecond(sim)
	for i := range r.Ready {
		row := []string{strconv.Itoa(i + 1)}
		for _, v := range []float64{
			load[i], r.Ready[i], r.Ordered[i], waits[i],
			sim.Curves.Ready[i], sim.Curves.Ordered[i], simWaits[i],
		} {
			row = append(row, strconv.FormatFloat(v, 'f', 2, 64))
		}
		_ = rows.Write(row) // Flush tells of it
	}
	rows.Flush()
	return rows.Error()
}

// rates are the jobs that came in each second.
func (r recorded) rates() []float64 {
	rates := make([]float64, len(r.Ready))
	for i, n := range r.Arrived {
		if second := i / stretch; second < len(rates) {
			rates[second] += float64(n)
		}
	}
	return rates
}

// waitsBySecond are the mean waits of the jobs that came in each second.
func (r recorded) waitsBySecond() []float64 {
	sums, jobs := make([]float64, len(r.Ready)), make([]float64, len(r.Ready))
	for i, at := range r.Done {
		if second := int(at - r.Waits[i] - 1/workerRate); second >= 0 && second < len(sums) {
			sums[second], jobs[second] = sums[second]+r.Waits[i], jobs[second]+1
		}
	}
	for i := range sums {
		sums[i] /= max(1, jobs[i])
	}
	return sums
}

// simWaitsBySecond are those of the simulation; 0 where its end comes first.
func (r recorded) simWaitsBySecond(sim simulate.Result) []float64 {
	waits := make([]float64, len(r.Ready))
	copy(waits, inTurn(progress(sim, r.load())))
	return waits
}
