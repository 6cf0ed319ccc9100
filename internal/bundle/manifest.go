package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
)

// Format is the format of manifests and genomes that this version writes and
// reads.
const Format = 1

// Manifest says what a bundle consists of. Its digest is the bundle's name.
type Manifest struct {
	Format  int    `json:"format"`
	Service string `json:"service"`
	// Policy and Module are where the policy and the root module lie in the tree.
	Policy string `json:"policy"`
	Module string `json:"module"`
	// Genome is the digest of the genome.
	Genome string `json:"genome"`
	// Tree is the policy and the root module with its local modules, in the order
	// of their paths, which are relative and have slashes.
	Tree []TreeFile `json:"tree"`
}

// TreeFile is one file of the tree.
type TreeFile struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Digest is the bundle's name.
func (m Manifest) Digest() string { return digestOf(m) }

var digestRE = regexp.MustCompile(`^[0-9a-f]{64}$`)

// CheckDigest returns an error unless text can be a digest. It becomes a file
// name and a part of a URL.
func CheckDigest(text string) error {
	if !digestRE.MatchString(text) {
		return fmt.Errorf("%q is no digest: it must be 64 hexadecimal digits", text)
	}
	return nil
}

// ParseManifest reads a manifest that must be the one of a digest.
func ParseManifest(text []byte, digest string) (Manifest, error) {
	var m Manifest
	if digestText(text) != digest {
		return m, fmt.Errorf("read the manifest of bundle %s: %w", digest, ErrChanged)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("read the manifest of bundle %s: %w", digest, err)
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("read the manifest of bundle %s: %w", digest, err)
	}
	return m, nil
}

// check finds what could lead out of the tree, or to nothing.
func (m Manifest) check() error {
	if m.Format != Format {
		return fmt.Errorf("it has format %d and this version knows %d", m.Format, Format)
	}
	errs := []error{CheckDigest(m.Genome)}
	seen := map[string]bool{}
	for _, f := range m.Tree {
		errs = append(errs, CheckDigest(f.SHA256))
		if !fs.ValidPath(f.Path) || f.Path == "." || f.Size < 0 || seen[f.Path] {
			errs = append(errs, fmt.Errorf("file %q is out of the tree, twice in it, or has no size", f.Path))
		}
		if f.Path == manifestFile || f.Path == genomeFile {
			errs = append(errs, fmt.Errorf("file %q would lie where a machine keeps the bundle's own %s: put it into a folder, or name it otherwise", f.Path, f.Path))
		}
		seen[f.Path] = true
	}
	for _, f := range m.Tree {
		for i, c := range f.Path {
			if c == '/' && seen[f.Path[:i]] {
				errs = append(errs, fmt.Errorf("%q is a file and a folder too", f.Path[:i]))
			}
		}
	}
	if !seen[m.Policy] || !fs.ValidPath(m.Module) {
		errs = append(errs, fmt.Errorf("policy %q or root module %q isn't in it", m.Policy, m.Module))
	}
	return errors.Join(errs...)
}

// Differences lists the files in which two trees differ.
func (m Manifest) Differences(other Manifest) []string {
	var paths []string
	there := map[string]string{}
	for _, f := range other.Tree {
		there[f.Path] = f.SHA256
	}
	for _, f := range m.Tree {
		if there[f.Path] != f.SHA256 {
			paths = append(paths, f.Path)
		}
		delete(there, f.Path)
	}
	paths = append(paths, slices.Collect(maps.Keys(there))...)
	slices.Sort(paths)
	return paths
}
