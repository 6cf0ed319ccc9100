package install

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

// directory makes a folder with those above it.
func (i *installation) directory(path, mode, owner string) error {
	perm, err := parseMode(mode, 0o755)
	if err != nil {
		return fmt.Errorf("directory %s: %w", path, err)
	}
	if err := i.above(path); err != nil {
		return err
	}
	if err := i.folder(path); err != nil {
		return err
	}
	if !slices.ContainsFunc(i.claim.Made, func(m Made) bool { return m.Path == path }) {
		return nil // it was there before: it stays as it was
	}
	if err := os.Chmod(i.machine.at(path), perm); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return i.own(path, owner)
}

// above makes the folders that a path lies in.
func (i *installation) above(path string) error {
	if parent := filepath.Dir(path); parent != path && parent != "/" {
		if err := i.above(parent); err != nil {
			return err
		}
		return i.folder(parent)
	}
	return nil
}

// folder makes one folder, noted first.
func (i *installation) folder(path string) error {
	info, err := os.Stat(i.machine.at(path))
	if err == nil && !info.IsDir() {
		return fmt.Errorf("make directory %s: there is something else of that name", path)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := i.note(Made{Path: path, Folder: true}); err != nil {
		return err
	}
	if err := os.Mkdir(i.machine.at(path), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory: %w", err)
	}
	return nil
}

// file writes a file, whole or not at all. What was there before is kept until
// the cell leaves.
func (i *installation) file(path, mode, owner string, content io.Reader) error {
	perm, err := parseMode(mode, 0o644)
	if err != nil {
		return fmt.Errorf("file %s: %w", path, err)
	}
	if err := i.above(path); err != nil {
		return err
	}
	if err := i.keep(path); err != nil {
		return fmt.Errorf("keep what was %s: %w", path, err)
	}
	at := i.machine.at(path)
	f, err := renameio.NewPendingFile(at, renameio.WithPermissions(perm), renameio.IgnoreUmask(), renameio.WithTempDir(filepath.Dir(at)))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = f.Cleanup() }() // nothing to do once it has its name
	if _, err := io.Copy(f, content); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := i.ownFile(f.File, owner); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// keep notes that a file is about to be written, and copies what has been in its
// place. The copy is whole before the note says that there is one.
func (i *installation) keep(path string) error {
	if slices.ContainsFunc(i.claim.Made, func(m Made) bool { return m.Path == path }) {
		return nil // it has been noted: what is there may be ours
	}
	info, err := os.Lstat(i.machine.at(path))
	if errors.Is(err, fs.ErrNotExist) {
		return i.note(Made{Path: path})
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file")
	}
	if err := copyFile(i.machine.at(path), i.machine.at(saved(path)), info); err != nil {
		return err
	}
	return i.note(Made{Path: path, Before: saved(path)})
}

// copyFile copies a file with its mode and owner.
func copyFile(from, to string, info fs.FileInfo) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := renameio.NewPendingFile(to, renameio.WithPermissions(info.Mode().Perm()), renameio.IgnoreUmask(), renameio.WithTempDir(filepath.Dir(to)))
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }()
	if _, err := io.Copy(f, source); err != nil {
		return err
	}
	if err := ownAs(f.File, info); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// parseMode reads a mode as chmod takes it.
func parseMode(text string, otherwise fs.FileMode) (fs.FileMode, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("the mode %q is no number of three or four digits from 0 to 7", text)
	}
	return fs.FileMode(n).Perm() | special(n), nil
}

func special(n uint64) (mode fs.FileMode) {
	for bit, is := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			mode |= is
		}
	}
	return mode
}

// own gives a path to "user", "user:group" or ":group".
func (i *installation) own(path, owner string) error {
	if owner == "" {
		return nil
	}
	uid, gid, err := identify(owner)
	if err == nil {
		err = os.Lchown(i.machine.at(path), uid, gid)
	}
	if err != nil {
		return fmt.Errorf("give %s to %s: %w", path, owner, err)
	}
	return nil
}

func (i *installation) ownFile(f *os.File, owner string) error {
	if owner == "" {
		return nil
	}
	uid, gid, err := identify(owner)
	if err != nil {
		return err
	}
	return f.Chown(uid, gid)
}

// identify finds the numbers of an owner; -1 leaves it as it is.
func identify(owner string) (uid, gid int, err error) {
	name, group, _ := strings.Cut(owner, ":")
	uid, gid = -1, -1
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return 0, 0, err
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return 0, 0, err
		}
		if gid, err = strconv.Atoi(u.Gid); err != nil {
			return 0, 0, err
		}
	}
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return 0, 0, err
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return 0, 0, err
		}
	}
	return uid, gid, nil
}
