package act

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// sweep removes plans of processes that are no more: they may hold secrets.
func (r *Root) sweep() error { return sweep(r.cfg.DataDir, "") }

// SweepBeside removes what processes of this host that are no more have left in the
// data directories beside one: a cell that was killed while it led doesn't come back
// under its name. Plans of other hosts are left alone, since whether their processes
// live can't be told from here.
func SweepBeside(dataDir string) error {
	above := filepath.Dir(dataDir)
	entries, err := os.ReadDir(above)
	if err != nil {
		return fmt.Errorf("look for plans left behind: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() {
			errs = append(errs, sweepWithShards(filepath.Join(above, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// sweepWithShards sweeps a data directory and those of its shards.
func sweepWithShards(dataDir string) error {
	shards, err := filepath.Glob(filepath.Join(dataDir, shardPrefix+"*"))
	errs := []error{err, sweep(dataDir, hostTag())}
	for _, dir := range shards {
		errs = append(errs, sweep(dir, hostTag()))
	}
	return errors.Join(errs...)
}

// sweep removes from a data directory the plans of processes that are no more; with a
// host only those that were made there.
func sweep(dataDir, host string) error {
	entries, err := os.ReadDir(dataDir)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil // a state that is kept as it was before a move
	}
	if err != nil {
		return fmt.Errorf("look for plans left behind: %w", err)
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), scratchPrefix)
		text, rest, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(text)
		if !ours || err != nil || pid <= 0 || !strings.HasPrefix(rest, host) || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dataDir, e.Name())); err != nil {
			return fmt.Errorf("remove a plan left behind: %w", err)
		}
	}
	return nil
}

// hostTag tells this host from others that may use the same folder.
func hostTag() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:4])
}
