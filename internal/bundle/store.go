package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// smallLimit is the most that a manifest, or a genome, may hold, in bytes.
const smallLimit = 8 << 20

// abreast is how many objects are moved at a time.
const abreast = 4

// slowestPut is the least that a store must take, in bytes a second.
const slowestPut = 64 << 10

// Store keeps bundles in a folder, which may be a mounted share, below a URL that
// such a folder is served at, or in a bucket of S3:
//
//	bundles/<digest>.json   manifests
//	blobs/<digest>          everything else, genomes included
type Store struct{ place place }

// OpenStore returns the store at an address as the policy has it; a folder's path
// must be absolute. A folder is made when something is put into it.
func OpenStore(address string) (*Store, error) {
	p, err := newPlace(address)
	if err != nil {
		return nil, fmt.Errorf("open the store of bundles %q: %w", address, err)
	}
	return &Store{place: p}, nil
}

// String is where the store is.
func (s *Store) String() string { return s.place.String() }

// Address names the store so that it can be opened in another environment: with the
// S3 that this environment says. Credentials are never in it.
func (s *Store) Address() string { return s.place.address() }

// ReadOnly reports whether nothing can be put into the store from here.
func (s *Store) ReadOnly() bool {
	_, web := s.place.(*web)
	return web
}

// Stored is what a Put had to do.
type Stored struct {
	Files, New int
	Bytes      int64 // of the new ones
}

// Put stores a bundle: its blobs first, so that a manifest never names what isn't
// there. What is there already stays as it is. It may be repeated.
func (s *Store) Put(ctx context.Context, b *Bundle) (Stored, error) {
	defer s.place.rest()
	var mu sync.Mutex
	done := Stored{Files: len(b.Blobs())}
	g, one := errgroup.WithContext(ctx)
	g.SetLimit(abreast)
	for _, blob := range b.Blobs() {
		g.Go(func() error {
			isNew, err := s.put(one, b, blob)
			if err != nil || !isNew {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			done.New++
			done.Bytes += blob.Size
			return nil
		})
	}
	err := g.Wait()
	if err == nil {
		text := encode(b.Manifest)
		err = s.place.put(ctx, manifestName(b.Digest()), int64(len(text)), bytes.NewReader(text))
	}
	if err != nil {
		return done, fmt.Errorf("store bundle %s in %s: %w", b.Digest(), s, err)
	}
	return done, nil
}

// put stores a blob that isn't there yet.
func (s *Store) put(ctx context.Context, b *Bundle, blob Blob) (isNew bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	name := blobName(blob.SHA256)
	size, err := s.place.size(ctx, name)
	if err == nil && size == blob.Size {
		return false, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	from, err := b.Open(blob.SHA256)
	if err != nil {
		return false, err
	}
	defer func() { _ = from.Close() }()
	limit := time.Minute + time.Duration(blob.Size/slowestPut)*time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("put blob %s: it took more than %s", blob.SHA256, limit))
	defer cancel()
	return true, s.place.put(ctx, name, blob.Size, from)
}

// ErrNoBundle says that the store was reached and doesn't hold the bundle.
var ErrNoBundle = errors.New("the store doesn't hold it")

// Manifest reads the manifest of a bundle and makes sure that everything that
// belongs to it is there.
func (s *Store) Manifest(ctx context.Context, digest string) (Manifest, error) {
	if err := CheckDigest(digest); err != nil {
		return Manifest{}, err
	}
	defer s.place.rest()
	text, err := s.small(ctx, manifestName(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fmt.Errorf("read bundle %s from %s: %w", digest, s, ErrNoBundle)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("read bundle %s from %s: its manifest: %w", digest, s, err)
	}
	m, err := ParseManifest(text, digest)
	if err != nil {
		return m, err
	}
	if err := s.complete(ctx, m); err != nil {
		return m, fmt.Errorf("bundle %s in %s isn't whole: %w", digest, s, err)
	}
	return m, nil
}

// Genome reads a genome by its digest.
func (s *Store) Genome(ctx context.Context, digest string) (Genome, error) {
	if err := CheckDigest(digest); err != nil {
		return Genome{}, err
	}
	defer s.place.rest()
	text, err := s.small(ctx, blobName(digest))
	if err != nil {
		return Genome{}, fmt.Errorf("read genome %s from %s: %w", digest, s, err)
	}
	return ParseGenome(text, digest)
}

// small reads an object that can't be large.
func (s *Store) small(ctx context.Context, name string) ([]byte, error) {
	ctx, watch := watchFlow(ctx)
	defer watch.stop()
	from, err := s.place.open(ctx, name, 0)
	if err != nil {
		return nil, watch.reason(err)
	}
	defer func() { _ = from.Close() }()
	text, err := io.ReadAll(io.LimitReader(watch.reader(from), smallLimit+1))
	if err == nil && len(text) > smallLimit {
		err = fmt.Errorf("%w: it has more than %d bytes", errTooLong, smallLimit)
	}
	return text, err
}

// complete returns an error when a blob of a bundle is missing or cut short.
func (s *Store) complete(ctx context.Context, m Manifest) error {
	text, err := s.small(ctx, blobName(m.Genome))
	if err != nil {
		return fmt.Errorf("the genome: %w", err)
	}
	genome, err := ParseGenome(text, m.Genome)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(abreast)
	for digest, part := range parts(m, genome) {
		g.Go(func() error {
			ctx, watch := watchFlow(ctx)
			defer watch.stop()
			size, err := s.place.size(ctx, blobName(digest))
			if err == nil && size >= 0 && size != part.size {
				err = fmt.Errorf("it has %d bytes of %d", size, part.size)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", part.what, watch.reason(err))
			}
			return nil
		})
	}
	return g.Wait()
}

// part is a blob by what it is in the bundle.
type part struct {
	what string
	size int64
}

// parts are the files of a bundle's tree and genome, by digest.
func parts(m Manifest, g Genome) map[string]part {
	all := map[string]part{}
	for _, f := range g.Files {
		all[f.SHA256] = part{what: "the genome's file " + f.Path, size: f.Size}
	}
	for _, f := range m.Tree {
		all[f.SHA256] = part{what: "the tree's file " + f.Path, size: f.Size}
	}
	return all
}
