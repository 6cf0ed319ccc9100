package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// manifestLimit is the most that a manifest may hold, in bytes.
const manifestLimit = 8 << 20

// Store keeps bundles in a folder, which may be a mounted share:
//
//	bundles/<digest>.json   manifests
//	blobs/<digest>          everything else, genomes included
type Store struct{ path string }

// OpenStore returns the store in a folder, which is made when something is
// put into it.
func OpenStore(path string) (*Store, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("open the store of bundles %q: it must be an absolute path", path)
	}
	return &Store{path: path}, nil
}

// Stored is what a Put had to do.
type Stored struct {
	Files, New int
	Bytes      int64 // of the new ones
}

// Put stores a bundle: its blobs first, so that a manifest never names what isn't
// there. What is there already stays as it is. It may be repeated.
func (s *Store) Put(ctx context.Context, b *Bundle) (Stored, error) {
	var done Stored
	for _, blob := range b.Blobs() {
		if err := ctx.Err(); err != nil {
			return done, fmt.Errorf("store bundle %s: %w", b.Digest(), err)
		}
		done.Files++
		if info, err := os.Stat(s.blob(blob.SHA256)); err == nil && info.Size() == blob.Size {
			continue
		}
		if err := s.put(b, blob); err != nil {
			return done, fmt.Errorf("store bundle %s: %w", b.Digest(), err)
		}
		done.New++
		done.Bytes += blob.Size
	}
	if err := s.write(s.manifest(b.Digest()), bytes.NewReader(encode(b.Manifest))); err != nil {
		return done, fmt.Errorf("store bundle %s: %w", b.Digest(), err)
	}
	return done, nil
}

func (s *Store) put(b *Bundle, blob Blob) error {
	from, err := b.Open(blob.SHA256)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	return s.write(s.blob(blob.SHA256), from)
}

// write writes a file that is whole or not there.
func (s *Store) write(path string, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644), renameio.WithTempDir(filepath.Dir(path)))
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }() // nothing to do once it has its name
	if _, err := io.Copy(f, from); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// ErrNoBundle says that the store was reached and doesn't hold the bundle.
var ErrNoBundle = errors.New("the store doesn't hold it")

// Manifest reads the manifest of a bundle and makes sure that everything it names
// is there.
func (s *Store) Manifest(ctx context.Context, digest string) (Manifest, error) {
	if err := CheckDigest(digest); err != nil {
		return Manifest{}, err
	}
	path := s.manifest(digest)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fmt.Errorf("read bundle %s from %s: %w", digest, s.path, ErrNoBundle)
	}
	if err == nil && info.Size() > manifestLimit {
		err = fmt.Errorf("its manifest has %d bytes, more than %d", info.Size(), int64(manifestLimit))
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("read bundle %s: %w", digest, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Manifest{}, fmt.Errorf("read bundle %s: %w", digest, err)
	}
	m, err := ParseManifest(content, digest)
	if err != nil {
		return m, err
	}
	return m, s.complete(ctx, m)
}

// complete returns an error when a blob of a bundle is missing or cut short.
func (s *Store) complete(ctx context.Context, m Manifest) error {
	sizes := map[string]int64{}
	for _, f := range m.Tree {
		sizes[f.SHA256] = f.Size
	}
	for digest, size := range sizes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if info, err := os.Stat(s.blob(digest)); err != nil {
			return fmt.Errorf("bundle %s isn't whole: %w", m.Digest(), err)
		} else if info.Size() != size {
			return fmt.Errorf("bundle %s isn't whole: blob %s has %d bytes of %d", m.Digest(), digest, info.Size(), size)
		}
	}
	if _, err := os.Stat(s.blob(m.Genome)); err != nil {
		return fmt.Errorf("bundle %s isn't whole: %w", m.Digest(), err)
	}
	return nil
}

func (s *Store) manifest(digest string) string {
	return filepath.Join(s.path, "bundles", digest+".json")
}

func (s *Store) blob(digest string) string { return filepath.Join(s.path, "blobs", digest) }
