package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDataAreMovedBeforeTheirCellLeaves lowers the count of a service that holds
// data. The cell stays past its drain time while the command that is to move its
// data fails, says why, and goes once that has succeeded. Neither the end of a
// sidecar nor a cell that is taken back has anything moved.
func TestDataAreMovedBeforeTheirCellLeaves(t *testing.T) {
	h := faulty(t, houseOptions{Policy: fmt.Sprintf(`
  holds_data = true
  drain {
    timeout = "1s"
    command = ["sh", "-c", "cd %s; test -e elsewhere || { echo no other database; exit 4; }; echo $HOMEOSTAT_CELL >>moved"]
  }
`, "HOUSE")})
	h.edit("homeostat.hcl", "HOUSE", h.dir)
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "2")
	h.settled(2, patience)

	h.succeed("pin", "pod", "1")
	h.await("the cell doesn't say why it stays", func(ctx context.Context) error {
		members, err := h.fleet.Members(ctx, "pod")
		for _, m := range members {
			if strings.Contains(m.Output, "its data could not be moved") && strings.Contains(m.Output, "exit status 4: no other database") {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("%+v", members))
	})
	if record, _, err := h.fleet.Record(t.Context(), "pod"); err != nil || record.Count != 2 {
		t.Errorf("%+v (%v): a cell was removed with its data", record, err)
	}
	h.write("elsewhere", "")
	h.settled(1, patience)
	moved, err := os.ReadFile(filepath.Join(h.dir, "moved"))
	if err != nil || string(moved) != "pod-2\n" {
		t.Errorf("moved %q (%v), want what pod-2 held", moved, err)
	}
}
