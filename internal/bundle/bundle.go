// Package bundle puts all that a service goes by under one name: the policy, the
// root module with its lock file, and the genome, which says what a cell is made
// of.
//
// A bundle is a manifest and blobs. Each blob is named by the SHA-256 of its
// content and the bundle by that of its manifest, so a store, and later a
// machine, needs only what it doesn't have, and whoever fetches something can
// tell that it is what was asked for.
//
// The same files make the same bundle wherever and whenever it is built: times,
// owners and places on the builder's machine are no part of it. What is fetched
// from a store lies in a cache and can be gone on with after a cut. It leaves out
// how a genome is installed.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"slices"
)

// Bundle is one that was built here: its content can be read.
type Bundle struct {
	Manifest Manifest
	Genome   Genome

	content map[string]content // by digest
}

// content is where the content of a blob is: in a file or in memory.
type content struct {
	path string
	text []byte
	size int64
}

// Blob is content by name.
type Blob struct {
	SHA256 string
	Size   int64
}

// Digest is the bundle's name.
func (b *Bundle) Digest() string { return b.Manifest.Digest() }

// Blobs lists what the bundle consists of beside its manifest, each once.
func (b *Bundle) Blobs() []Blob {
	var all []Blob
	for _, digest := range slices.Sorted(maps.Keys(b.content)) {
		all = append(all, Blob{SHA256: digest, Size: b.content[digest].size})
	}
	return all
}

// Open reads the content of a blob. It fails at the end of the content if that
// isn't what the digest names any more, as when a file was changed meanwhile.
func (b *Bundle) Open(digest string) (io.ReadCloser, error) {
	c, ok := b.content[digest]
	if !ok {
		return nil, fmt.Errorf("open blob %s: it is none of this bundle", digest)
	}
	if c.path == "" {
		return io.NopCloser(bytes.NewReader(c.text)), nil
	}
	f, err := os.Open(c.path)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", digest, err)
	}
	return &verifier{file: f, sum: sha256.New(), left: c.size, want: digest}, nil
}

// ErrChanged says that content isn't what its digest names.
var ErrChanged = errors.New("its content isn't what its digest names")

// verifier reads a file that must be what its digest names. The last of its bytes
// come only when it is: a store may take content for whole once it has as much as
// was announced.
type verifier struct {
	file *os.File
	sum  hash.Hash
	left int64
	want string
}

// Read implements io.Reader.
func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.file.Read(p)
	v.sum.Write(p[:n])
	v.left -= int64(n)
	ended := v.left <= 0 || errors.Is(err, io.EOF)
	if ended && (v.left != 0 || hex.EncodeToString(v.sum.Sum(nil)) != v.want) {
		return 0, fmt.Errorf("read %s: %w: it was changed while the bundle was made; try again", v.file.Name(), ErrChanged)
	}
	return n, err
}

// Close implements io.Closer.
func (v *verifier) Close() error { return v.file.Close() }

// digestOf is the digest of a value's JSON, which sorts maps.
func digestOf(v any) string { return digestText(encode(v)) }

// encode can't fail: manifests and genomes are made of texts, numbers, lists and
// maps of texts.
func encode(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}

func digestText(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
