package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// unpack lays a bundle's tree out. It appears whole or not at all. In one that is
// there only files that aren't what they were are laid anew, each whole: Terraform
// may have its own beside them.
func (c cache) unpack(ctx context.Context, b *Cached) error {
	into := b.Tree
	_, err := os.Lstat(b.Tree)
	isNew := errors.Is(err, fs.ErrNotExist)
	if isNew {
		into = filepath.Join(filepath.Dir(b.Tree), "."+filepath.Base(b.Tree)+".part")
		if err = os.RemoveAll(into); err == nil { // what a killed process left
			err = os.MkdirAll(into, 0o755)
		}
	}
	if err != nil {
		return err
	}
	if err := c.lay(ctx, b, into); err != nil {
		if isNew {
			err = errors.Join(err, os.RemoveAll(into))
		}
		return err
	}
	if isNew {
		return os.Rename(into, b.Tree)
	}
	return nil
}

// lay lays all files of a bundle's tree out. Nothing can lead out of the folder, not
// even a link that somebody put there.
func (c cache) lay(ctx context.Context, b *Cached, into string) (err error) {
	root, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	files := append([]TreeFile{
		{Path: manifestFile, SHA256: b.Manifest.Digest()},
		{Path: genomeFile, SHA256: b.Manifest.Genome},
	}, b.Manifest.Tree...)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.layFile(root, f); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

func (c cache) layFile(root *os.Root, f TreeFile) error {
	if there, err := root.Open(f.Path); err == nil {
		same := is(there, f.SHA256)
		if err := there.Close(); err != nil || same {
			return err
		}
	}
	if err := root.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
		return err
	}
	part := path.Join(path.Dir(f.Path), "."+path.Base(f.Path)+".part")
	if err := root.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := c.copyTo(root, part, f.SHA256); err != nil {
		return err
	}
	return root.Rename(part, f.Path)
}

// copyTo writes a blob's content to a new file that can only be read.
func (c cache) copyTo(root *os.Root, name, digest string) (err error) {
	from, err := os.Open(c.blob(digest))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}
