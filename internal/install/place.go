package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
)

// place is a file or directory that is to be.
type place struct {
	path      string
	mode      fs.FileMode
	uid, gid  int
	owner     string // as the genome has it; its user may not be there yet
	pending   bool   // it isn't, so far
	own       bool
	directory bool
	// readOnly leaves it to root: who owns it by the genome reads it by its group.
	readOnly bool

	// What a file holds is a text, a blob, or what can be read from somewhere.
	text   []byte
	sha256 string
	from   io.Reader
}

func digestText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// temporary is the name under which a file is written. It follows from the
// file's, so that it is found after a cut.
func temporary(p string) string {
	return filepath.Join(filepath.Dir(p), ".homeostat-"+digestText(filepath.Base(p))[:16])
}

// put writes a file that is whole or as it was.
func (m *Machine) put(f place) error {
	from, err := m.content(f)
	if err != nil {
		return err
	}
	if c, ok := from.(io.Closer); ok && f.from == nil {
		defer func() { _ = c.Close() }()
	}
	p := m.path(f.path)
	m.reached()
	if err := m.fill(temporary(p), f, from); err != nil {
		return errors.Join(err, remove(temporary(p)))
	}
	m.reached()
	if err := os.Rename(temporary(p), p); err != nil {
		return errors.Join(err, remove(temporary(p)))
	}
	m.reached()
	return syncDirectory(filepath.Dir(p))
}

func (m *Machine) content(f place) (io.Reader, error) {
	switch {
	case f.from != nil:
		return f.from, nil
	case f.sha256 != "":
		return os.Open(m.path(filepath.Join(blobsDir, f.sha256)))
	}
	return bytes.NewReader(f.text), nil
}

// fill writes the file under another name. A link that somebody put there is
// not followed.
func (m *Machine) fill(p string, f place, from io.Reader) error {
	if err := remove(p); err != nil {
		return err
	}
	out, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, sum), from)
	m.reached()
	if err == nil && f.sha256 != "" && hex.EncodeToString(sum.Sum(nil)) != f.sha256 {
		err = fmt.Errorf("blob %s: %w", f.sha256, bundle.ErrChanged)
	}
	if err == nil {
		err = errors.Join(out.Chown(f.uid, f.gid), out.Chmod(f.mode), out.Sync())
	}
	return errors.Join(err, out.Close())
}

// link makes a symbolic link in the place of what is there.
func (m *Machine) link(p, to string) error {
	at := m.path(p)
	if err := remove(temporary(at)); err != nil {
		return err
	}
	if err := os.Symlink(to, temporary(at)); err != nil {
		return err
	}
	m.reached()
	if err := os.Rename(temporary(at), at); err != nil {
		return errors.Join(err, remove(temporary(at)))
	}
	return syncDirectory(filepath.Dir(at))
}

func syncDirectory(p string) error {
	d, err := os.Open(p)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// is reports whether a file is there as it is to be, content and all.
func (m *Machine) is(f place) (bool, error) {
	info, err := os.Lstat(m.path(f.path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if uid, gid := ownerOf(info); !info.Mode().IsRegular() || info.Mode() != f.mode || uid != f.uid || gid != f.gid || f.pending {
		return false, nil
	}
	there, err := os.Open(m.path(f.path))
	if err != nil {
		return false, err
	}
	defer func() { _ = there.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, there); err != nil {
		return false, err
	}
	want := f.sha256
	if want == "" {
		want = digestText(string(f.text))
	}
	return hex.EncodeToString(sum.Sum(nil)) == want, nil
}

// places are the directories and files of the genome.
func places(g bundle.Genome) ([]place, error) {
	var all []place
	for _, d := range g.Directories {
		mode, err := parseMode(d.Mode)
		if err != nil {
			return nil, err
		}
		all = append(all, place{path: d.Path, mode: mode, owner: d.Owner, directory: true})
	}
	for _, f := range g.Files {
		mode, err := parseMode(f.Mode)
		if err != nil {
			return nil, err
		}
		// A sidecar that undoes itself needs the program to be started again.
		all = append(all, place{path: f.Path, mode: mode, owner: f.Owner, sha256: f.SHA256, own: f.Path == Program})
	}
	return all, resolve(all)
}

func resolve(all []place) error {
	for i := range all {
		if err := all[i].resolve(); err != nil {
			return err
		}
	}
	return nil
}
