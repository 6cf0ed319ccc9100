package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// A cache is a folder with what was fetched:
//
//	blobs/<sha256>       content, manifests and genomes included
//	blobs/<sha256>.part  what came of it so far
//	bundle/<digest>/     a bundle's tree, with its manifest.json and genome.json
//	.lock                held while something is fetched
const (
	manifestFile = "manifest.json"
	genomeFile   = "genome.json"
)

// Cached is a bundle that lies in a cache, whole.
type Cached struct {
	Manifest Manifest
	Genome   Genome
	// Tree is the folder with the policy and the root module. What was fetched
	// can't be written there, other files can: Terraform's own.
	Tree string

	cache cache
}

// Policy is the policy's file, Module the folder of the root module.
func (c *Cached) Policy() string { return filepath.Join(c.Tree, filepath.FromSlash(c.Manifest.Policy)) }

// Module is the folder of the root module.
func (c *Cached) Module() string { return filepath.Join(c.Tree, filepath.FromSlash(c.Manifest.Module)) }

// Blob is the file with the content of a digest.
func (c *Cached) Blob(digest string) string { return c.cache.blob(digest) }

// CacheOf is the cache that a file of a bundle's tree lies in, "" for any other.
func CacheOf(file string) string {
	for dir := filepath.Dir(file); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if CheckDigest(filepath.Base(dir)) == nil && filepath.Base(filepath.Dir(dir)) == "bundle" {
			return filepath.Dir(filepath.Dir(dir))
		}
	}
	return ""
}

// Fetch gets a bundle and all that belongs to it into a cache, each of it
// verified, and lays its tree out there. What is there already is not fetched
// again; what a call left half-done the next one goes on with. Calls of several
// processes wait for each other.
func (s *Store) Fetch(ctx context.Context, digest, cacheFolder string) (*Cached, error) {
	if err := CheckDigest(digest); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(cacheFolder) {
		return nil, fmt.Errorf("fetch bundle %s: the cache %q must be an absolute path", digest, cacheFolder)
	}
	defer s.place.rest()
	f := &fetcher{place: s.place, cache: cache(cacheFolder)}
	c, err := f.fetch(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("fetch bundle %s from %s: %w%s", digest, s, err, nextStep(err))
	}
	return c, nil
}

// nextStep is what to do about a failed fetch.
func nextStep(err error) string {
	var may *passingError
	var broken *brokenError
	switch {
	case errors.Is(err, errNowhere):
		return ": bring it and try again"
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return ": make room there and try again; what came is kept"
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return ": what came is kept for the next try"
	case errors.Is(err, fs.ErrNotExist):
		return ": publish it again, or look whether the policy's bundle is the store it was put into"
	case errors.As(err, &broken):
		return ": the store holds something else under that name; remove it there and publish again"
	case errors.As(err, &may):
		return ": what came is kept; try again when the store is well"
	}
	return ""
}

// fetcher gets one bundle.
type fetcher struct {
	place place
	cache cache
}

func (f *fetcher) fetch(ctx context.Context, digest string) (*Cached, error) {
	unlock, err := f.cache.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c := &Cached{cache: f.cache, Tree: f.cache.tree(digest)}
	text, err := f.small(ctx, want{what: "the manifest", name: manifestName(digest), digest: digest})
	if err != nil {
		return nil, err
	}
	if c.Manifest, err = ParseManifest(text, digest); err != nil {
		return nil, err
	}
	id := c.Manifest.Genome
	if text, err = f.small(ctx, want{what: "the genome", name: blobName(id), digest: id}); err != nil {
		return nil, err
	}
	if c.Genome, err = ParseGenome(text, id); err != nil {
		return nil, err
	}
	if err := f.blobs(ctx, c); err != nil {
		return nil, err
	}
	if err := f.cache.unpack(ctx, c); err != nil {
		return nil, fmt.Errorf("lay its tree out in %s: %w", f.cache, err)
	}
	return c, nil
}

// small brings an object that can't be large, and whose size nobody told.
func (f *fetcher) small(ctx context.Context, w want) ([]byte, error) {
	w.size, w.most = -1, smallLimit
	if err := f.bring(ctx, w); err != nil {
		return nil, err
	}
	return os.ReadFile(f.cache.blob(w.digest))
}

// blobs brings all the rest, some at a time.
func (f *fetcher) blobs(ctx context.Context, c *Cached) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(abreast)
	for digest, p := range parts(c.Manifest, c.Genome) {
		g.Go(func() error {
			return f.bring(ctx, want{what: p.what, name: blobName(digest), digest: digest, size: p.size, most: p.size})
		})
	}
	return g.Wait()
}

// Blobs lists all that a machine needs to have to be made from the bundle, its
// manifest and genome included, each once.
func (c *Cached) Blobs() ([]Blob, error) {
	var all []Blob
	for _, digest := range []string{c.Manifest.Digest(), c.Manifest.Genome} {
		info, err := os.Stat(c.Blob(digest))
		if err != nil {
			return nil, fmt.Errorf("list what a machine needs of bundle %s: %w", c.Manifest.Digest(), err)
		}
		all = append(all, Blob{SHA256: digest, Size: info.Size()})
	}
	for digest, p := range parts(c.Manifest, c.Genome) {
		all = append(all, Blob{SHA256: digest, Size: p.size})
	}
	return all, nil
}
