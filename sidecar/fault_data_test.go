package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDataOutliveTheirCell kills the only cell of a service that holds data. It
// is started again over its own data under its own name. When the data are gone
// too, the leader says so and stops, and goes on when they are back.
func TestDataOutliveTheirCell(t *testing.T) {
	h := faulty(t, houseOptions{
		Policy: `
  holds_data = true
  birth {
    backoff_min = "500ms"
    backoff_max = "5s"
  }
`,
		Command: []string{"sh", "-c", `'echo "$HOMEOSTAT_INCARNATION" >> "$HOMEOSTAT_DATA_DIRECTORY/lives"; exec sleep 100000'`},
	})
	h.edit("homeostat.hcl", "max  = 8", "max  = 1")
	h.edit("pod/main.tf", "  timeouts ", fmt.Sprintf("  data_directory = %q\n  timeouts ", filepath.Join(h.dir, "data")))
	h.apply()
	h.settled(1, patience)
	h.alone()
	first := h.sidecar("pod-1")

	h.killCell("pod-1")
	h.hears("cell is dead", "cell=pod-1", "its process is gone")
	h.hears("order placed", "replace=[pod-1]")
	h.settled(1, patience)
	if h.sidecar("pod-1") == first {
		t.Error("it is the process that was killed")
	}
	h.wrote("data/pod-1/lives", 2)

	h.await("the leader alone doesn't lead", h.leadsAlone)
	data := filepath.Join(h.dir, "data", "pod-1")
	h.killCell("pod-1")
	h.must(os.Rename(data, data+".away"))
	h.hears("stopped: a cell's data are gone, and it isn't begun with none", "pod-1")
	h.reads("trouble", "stopped, since a cell's data are gone: bring them back", data)
	if _, err := os.Stat(data); err == nil {
		t.Errorf("an empty %s was made", data)
	}
	h.must(os.Rename(data+".away", data))
	h.settled(1, patience)
	h.wrote("data/pod-1/lives", 3)
}

// wrote waits until a file of the house has n lines.
func (h *house) wrote(name string, n int) {
	h.t.Helper()
	h.await(name, func(context.Context) error {
		b, err := os.ReadFile(filepath.Join(h.dir, name))
		if err != nil {
			return err
		}
		lines := 0
		for _, c := range b {
			if c == '\n' {
				lines++
			}
		}
		if lines != n {
			return fmt.Errorf("it has %d lines, want %d:\n%s", lines, n, b)
		}
		return nil
	})
}

// leadsAlone returns an error unless a leader without a cell leads.
func (h *house) leadsAlone(ctx context.Context) error {
	holder, err := h.fleet.Leader(ctx, "pod")
	if err == nil && holder.Cell != "" {
		err = fmt.Errorf("%s leads", holder.Cell)
	}
	return err
}

// TestTwoCellsDieAtOnce kills two of three cells that keep their names, so that
// any plan mends both though they are ordered one after the other. Each gets one
// new life, and no more.
func TestTwoCellsDieAtOnce(t *testing.T) {
	h := faulty(t, houseOptions{
		Min: 3, Max: 3, Policy: `
  holds_data = true
  health {
    interval = "500ms"
    timeout  = "1s"
    ttl      = "3s"
  }
`,
		Command: []string{"sh", "-c", `'echo "$HOMEOSTAT_CELL" >> "$OUTBREAK.lives"; exec sleep 100000'`},
	})
	h.apply()
	h.succeed("pin", "pod", "3")
	h.settled(3, patience)
	for _, cell := range h.followers() {
		h.killCell(cell)
	}
	h.await("two orders", func(context.Context) error {
		if placed := h.logLines("order placed", "replace=[pod-"); len(placed) < 2 {
			return fmt.Errorf("%v", placed)
		}
		return nil
	})
	h.settled(3, patience)
	h.holds(h.lives(), 5*time.Second)
	h.wrote("outbreak.lives", 5)
}
