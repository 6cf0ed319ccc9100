package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Kind is what was made.
type Kind string

// The kinds of what birth makes.
const (
	// MadeDirectory goes at leaving if it is empty then.
	MadeDirectory Kind = "directory"
	// MadeFile is a file or a link.
	MadeFile Kind = "file"
	// ChangedDirectory was there and has got another owner or mode.
	ChangedDirectory Kind = "changed directory"
	// StartedUnit is a unit of systemd's that didn't run.
	StartedUnit Kind = "started unit"
)

// Made is one thing that birth makes.
type Made struct {
	Kind Kind   `json:"kind"`
	Path string `json:"path"` // a unit's is its name
	// Own is set for what belongs to Homeostat rather than to the genome. It is
	// needed to the end of a leaving.
	Own bool `json:"own,omitempty"`
	// Before is what was there, nil for nothing.
	Before *Before `json:"before,omitempty"`
}

// Before is what was where birth made something.
type Before struct {
	Mode fs.FileMode `json:"mode"`
	UID  int         `json:"uid"`
	GID  int         `json:"gid"`
	// Link is where a link led. The content of a file lies among what was saved,
	// and Time is when it was changed.
	Link string    `json:"link,omitempty"`
	Time time.Time `json:"time,omitzero"`
}

// before describes what is at a path, nil for nothing.
func (m *Machine) before(p string) (*Before, error) {
	info, err := os.Lstat(m.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := &Before{Mode: info.Mode()}
	b.UID, b.GID = ownerOf(info)
	switch {
	case info.Mode().IsRegular():
		b.Time = info.ModTime()
	case info.Mode()&fs.ModeSymlink != 0:
		b.Link, err = os.Readlink(m.path(p))
	}
	return b, err
}

// ownerOf is who a file belongs to.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return 0, 0
}

func (m *Machine) saved(p string) string { return filepath.Join(savedDir, digestText(p)) }

// save keeps the content of a file that is about to be replaced.
func (m *Machine) save(p string, b *Before) error {
	switch {
	case b.Link != "":
		return nil
	case !b.Mode.IsRegular():
		return fmt.Errorf("%s is there, and no file but a %s", p, b.Mode.Type())
	}
	f, err := os.Open(m.path(p))
	if err != nil {
		return fmt.Errorf("save %s: %w", p, err)
	}
	defer func() { _ = f.Close() }()
	if err := os.MkdirAll(m.path(savedDir), 0o700); err != nil {
		return fmt.Errorf("save %s: %w", p, err)
	}
	if err := m.put(place{path: m.saved(p), mode: 0o600, from: f}); err != nil {
		return fmt.Errorf("save %s: %w", p, err)
	}
	return nil
}

// undo takes one thing back. It may be repeated.
func (m *Machine) undo(made Made) error {
	m.reached()
	p := m.path(made.Path)
	switch {
	case made.Kind == MadeDirectory:
		if err := removeEmpty(p); err != nil {
			return err
		}
		if _, err := os.Lstat(p); err == nil {
			m.Log.Warn("a directory that birth made holds something, and stays", "directory", made.Path)
		}
	case made.Kind == ChangedDirectory:
		return restoreDirectory(p, made.Before)
	case made.Kind == MadeFile && made.Before == nil:
		return errors.Join(remove(temporary(p)), remove(p))
	case made.Kind == MadeFile:
		return errors.Join(remove(temporary(p)), m.restore(made))
	}
	return nil
}

func restoreDirectory(p string, b *Before) error {
	err := os.Chown(p, b.UID, b.GID)
	if err == nil {
		err = os.Chmod(p, b.Mode.Perm()|b.Mode&(fs.ModeSticky|fs.ModeSetgid|fs.ModeSetuid))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// restore puts back what was in the place of a file.
func (m *Machine) restore(made Made) error {
	p, b := m.path(made.Path), made.Before
	if b.Link != "" {
		if err := m.link(made.Path, b.Link); err != nil {
			return err
		}
		return os.Lchown(p, b.UID, b.GID)
	}
	f, err := os.Open(m.path(m.saved(made.Path)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was put back before, and what was saved is gone since
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := m.put(place{path: made.Path, mode: b.Mode, uid: b.UID, gid: b.GID, from: f}); err != nil {
		return err
	}
	return os.Chtimes(p, time.Time{}, b.Time)
}

// remove removes a file if it is one. A directory in its place is none of ours.
func remove(p string) error {
	info, err := os.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), err == nil && info.IsDir():
		return nil
	case err != nil:
		return err
	}
	return os.Remove(p)
}

// removeEmpty removes a directory unless it holds something, or a disk of its
// own is mounted there.
func removeEmpty(p string) error {
	err := syscall.Rmdir(p)
	for _, stays := range []error{syscall.ENOTEMPTY, syscall.EEXIST, syscall.ENOENT, syscall.ENOTDIR, syscall.EBUSY} {
		if errors.Is(err, stays) {
			return nil
		}
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: p, Err: err}
	}
	return nil
}
