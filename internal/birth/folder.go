package birth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// Processes is the first kind of birth: it makes cells out of processes of
// this host. Another kind would stand beside it with the same methods. Each
// cell has the folder <dir>/<service>/<name>/ with its record, its log and a
// lock.
type Processes struct {
	dir     string
	host    Host
	log     *slog.Logger
	environ []string
	scopes  *scopes
}

// NewProcesses keeps the folders of cells under dir, which is made when the
// first cell is. environ is what a cell inherits, as from os.Environ.
func NewProcesses(dir string, host Host, environ []string, log *slog.Logger) (*Processes, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("state directory %q must be an absolute path", dir)
	}
	return &Processes{dir: filepath.Clean(dir), host: host, environ: environ, log: log, scopes: newScopes(log)}, nil
}

// Folder is where the traces of a cell are kept.
func (p *Processes) Folder(service, name string) string { return filepath.Join(p.dir, service, name) }

// Directory is the folder of all folders.
func (p *Processes) Directory() string { return p.dir }

// Host is the machine whose processes these are.
func (p *Processes) Host() Host { return p.host }

// Names lists the cells of a service that have a record here, in order.
func (p *Processes) Names(service string) ([]string, error) {
	if err := CheckName("service", service); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(p.dir, service))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the cells of %s: %w", service, err)
	}
	var names []string
	for _, entry := range entries {
		r, err := readRecord(p.Folder(service, entry.Name()))
		if err != nil {
			return nil, err
		}
		if r != nil && r.Phase == Born {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Held is a cell whose folder is locked: nobody else begins or ends it.
type Held struct {
	*Processes
	service, name string
	dir           string
	lock          *os.File
}

// Hold waits for the lock of one cell, and makes its folder. The lock is the
// kernel's and ends with the process that holds it. A newborn keeps it until
// it has become its own program, so whoever gets the lock next can see it.
func (p *Processes) Hold(ctx context.Context, service, name string) (*Held, error) {
	if err := errors.Join(CheckName("service", service), CheckName("name", name)); err != nil {
		return nil, err
	}
	h := &Held{Processes: p, service: service, name: name, dir: p.Folder(service, name)}
	for vanished := 0; ; {
		ok, err := h.tryLock()
		if errors.Is(err, errVanished) && vanished < vanishedMax {
			vanished++
			ok, err = false, nil
		}
		if err != nil {
			return nil, fmt.Errorf("lock cell %s/%s: %w", service, name, err)
		}
		if ok {
			return h, nil
		}
		if wait.For(ctx, 50*time.Millisecond) != nil {
			return nil, fmt.Errorf("wait for the lock %s, held by another run: %w", filepath.Join(h.dir, "lock"), context.Cause(ctx))
		}
	}
}

// errVanished says that the folder went while it was being made, as the last cell
// of the service did. Somewhere where no folder can be made looks the same, so
// it is tried again only vanishedMax times.
var errVanished = errors.New("the folder went while it was being made")

const vanishedMax = 20

// tryLock is false when somebody else has the lock, or took the folder away
// between opening and locking.
func (h *Held) tryLock() (bool, error) {
	err := os.MkdirAll(h.dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("%w: %w", errVanished, err)
	}
	if err != nil {
		return false, err
	}
	path := filepath.Join(h.dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%w: %w", errVanished, err)
	}
	if err != nil {
		return false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		return false, f.Close()
	}
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	mine, err1 := f.Stat()
	there, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		return false, f.Close()
	}
	h.lock = f
	return true, nil
}

// Release gives the lock back. A folder without a record goes with it.
func (h *Held) Release() {
	if r, err := readRecord(h.dir); err == nil && r == nil {
		h.removeFolder()
	}
	if err := h.lock.Close(); err != nil {
		h.log.Warn("give back a cell's lock", "cell", h.service+"/"+h.name, "error", err)
	}
}

// Forget removes the folder of a cell that has ended, log included.
func (h *Held) Forget() error {
	r, err := readRecord(h.dir)
	if err != nil {
		return err
	}
	if r != nil && r.Phase != Ended {
		return fmt.Errorf("forget cell %s: it is %s, not ended", r.cell(), r.Phase)
	}
	// The record goes first: without it a folder means nothing.
	for _, name := range []string{"cell.json", logFile} {
		if err := os.Remove(filepath.Join(h.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the cell's folder: %w", err)
		}
	}
	if err := os.RemoveAll(filepath.Join(h.dir, workDirectory)); err != nil {
		return fmt.Errorf("remove the cell's folder: %w", err)
	}
	h.removeFolder()
	return nil
}

// removeFolder leaves a folder that still has something in it, and the
// service's while it has other cells.
func (h *Held) removeFolder() {
	// What a writer that was killed has left of a record; the pattern is right.
	torn, _ := filepath.Glob(filepath.Join(h.dir, ".cell.json*"))
	for _, path := range torn {
		_ = os.Remove(path)
	}
	if entries, err := os.ReadDir(h.dir); err != nil || len(entries) > 1 {
		return
	}
	_ = os.Remove(filepath.Join(h.dir, "lock"))
	_ = os.Remove(h.dir)
	_ = os.Remove(filepath.Dir(h.dir))
}
