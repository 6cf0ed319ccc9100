package birth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// claimSuffix is added to a data directory's path to name the file that says
// whose it is. It lies beside the directory, since some programs, PostgreSQL
// among them, refuse to begin in a directory that isn't empty.
const claimSuffix = ".homeostat"

// claim says which cell a data directory belongs to. It outlives the cell as
// the data does.
type claim struct {
	Service string `json:"service"`
	Name    string `json:"name"`
	// Made is set when the directory was made for the cell, or was empty. What
	// was there before the cell is never removed with it.
	Made bool `json:"made"`
}

// ErrDataGone says that a cell's data directory was there once and is not now.
// The cell isn't started over an empty one in its place.
var ErrDataGone = errors.New("the cell's data directory is gone")

func readClaim(dir string) (*claim, error) {
	b, err := os.ReadFile(dir + claimSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whose the data directory is: %w", err)
	}
	var c claim
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("parse %s: %w", dir+claimSuffix, err)
	}
	return &c, nil
}

// claimData makes the cell's data directory if it never was, and sees to it
// that no two cells share one.
func claimData(spec Spec) error {
	dir := filepath.Clean(spec.DataDirectory)
	if spec.DataDirectory == "" {
		return nil
	}
	c, err := readClaim(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("read the data directory: %w", err)
	}
	switch {
	case c != nil && (c.Service != spec.Service || c.Name != spec.Name):
		return fmt.Errorf("data directory %s belongs to cell %s/%s, as %s says", dir, c.Service, c.Name, dir+claimSuffix)
	case c != nil && missing:
		return fmt.Errorf("%w: %s; bring it back, or remove %s to begin with an empty one", ErrDataGone, dir, dir+claimSuffix)
	case c != nil:
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	b, err := json.Marshal(claim{Service: spec.Service, Name: spec.Name, Made: len(entries) == 0})
	if err != nil {
		return fmt.Errorf("claim the data directory: %w", err)
	}
	if err := renameio.WriteFile(dir+claimSuffix, append(b, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(dir))); err != nil {
		return fmt.Errorf("claim the data directory: %w", err)
	}
	return syncDirectory(filepath.Dir(dir))
}

// systemDirectories hold more than one cell's data, whatever somebody wrote.
var systemDirectories = []string{
	"/", "/bin", "/boot", "/data", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root",
	"/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share",
	"/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp",
}

// CheckData returns an error unless path may be a cell's data directory, and,
// where it is to be deleted with the cell, unless it may be deleted. It looks
// at the path alone, so it can be asked before anything is there.
func (p *Processes) CheckData(path string, deleted bool) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("data directory %q must be an absolute path without \".\", \"..\" or a slash at its end", path)
	}
	if within(path, p.dir) {
		return fmt.Errorf("data directory %s lies in the state directory %s, which is Homeostat's own", path, p.dir)
	}
	if slices.Contains(systemDirectories, path) {
		return fmt.Errorf("data directory %s is a directory of the system", path)
	}
	if !deleted {
		return nil
	}
	kept := map[string]string{"the state directory": p.dir}
	if home, err := os.UserHomeDir(); err == nil {
		kept["the home directory"] = home
	}
	if here, err := os.Getwd(); err == nil {
		kept["the working directory"] = here
	}
	for what, dir := range kept {
		if within(dir, path) {
			return fmt.Errorf("data directory %s can't be deleted with the cell: %s %s is in it", path, what, dir)
		}
	}
	return nil
}

// within reports whether path is dir or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// CheckDelete returns an error unless the data directory of this cell can be
// deleted: it must be the cell's own, made for it, and one whole. What is
// missing needs no deleting.
func (h *Held) CheckDelete(dir string) error {
	if err := h.CheckData(dir, true); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("data directory %s is no directory but a %s", dir, info.Mode().Type())
	}
	resolved, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	if err := h.CheckData(resolved, true); err != nil {
		return err
	}
	c, err := readClaim(dir)
	switch {
	case err != nil:
		return err
	case c == nil:
		return fmt.Errorf("data directory %s has no claim %s, so nothing says that it is the cell's", dir, dir+claimSuffix)
	case c.Service != h.service || c.Name != h.name:
		return fmt.Errorf("data directory %s belongs to cell %s/%s", dir, c.Service, c.Name)
	case !c.Made:
		return fmt.Errorf("data directory %s had content before the cell was born", dir)
	}
	return oneDevice(dir)
}

// oneDevice returns an error when another file system is mounted in dir.
func oneDevice(dir string) error {
	var root syscall.Stat_t
	if err := syscall.Stat(filepath.Dir(dir), &root); err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		var here syscall.Stat_t
		if err := syscall.Lstat(path, &here); err != nil {
			return fmt.Errorf("look at the data directory: %w", err)
		}
		if here.Dev != root.Dev {
			return fmt.Errorf("%s is mounted from another file system", path)
		}
		return nil
	})
}

// DeleteData removes the data directory and the claim on it. The cell must
// have ended.
func (h *Held) DeleteData(dir string) error {
	if err := h.CheckDelete(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("delete the data directory: %w", err)
	}
	if err := os.Remove(dir + claimSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete the claim on the data directory: %w", err)
	}
	return syncDirectory(filepath.Dir(dir))
}
