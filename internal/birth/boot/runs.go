package boot

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

const (
	// cellUnit is the unit that package install runs a cell by.
	cellUnit = "homeostat.service"
	// settled is how long a sidecar has run that will not end at once, as one does
	// that finds something wrong with its policy or a file missing.
	settled = time.Second
	// lastLines of its log are told.
	lastLines = "15"
)

// runs returns an error, with what it said last, when the cell's sidecar doesn't
// stay up. Nobody gets into the machine to look.
func (n *Newborn) runs(ctx context.Context) error {
	if err := wait.For(ctx, settled); err != nil {
		return err
	}
	err := n.Machine.Systemctl(ctx, "is-active", "--quiet", cellUnit)
	if err == nil {
		return nil
	}
	out, failed := exec.CommandContext(ctx, "journalctl", "--no-pager", "--output=cat", "--lines="+lastLines, "--unit="+cellUnit).CombinedOutput()
	if failed != nil {
		return fmt.Errorf("the cell's sidecar doesn't stay up: %w", err)
	}
	return fmt.Errorf("the cell's sidecar doesn't stay up; it said last:\n%s", strings.TrimSpace(string(out)))
}
