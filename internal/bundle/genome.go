package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Genome is everything that makes a cell, its sources resolved to their digests.
type Genome struct {
	Format  int    `json:"format"`
	Service string `json:"service"`
	// Command is the application, which the sidecar runs.
	Command []string `json:"command,omitempty"`
	// User is who it runs as; empty for root.
	User string `json:"user,omitempty"`
	// Environment is added to that of the cell.
	Environment map[string]string `json:"environment,omitempty"`
	Directories []Directory       `json:"directories,omitempty"`
	Files       []File            `json:"files,omitempty"`
	// Run are commands, in their order, after the files are there.
	Run []Command `json:"run,omitempty"`
	// Units are started before the cell is.
	Units []string `json:"units,omitempty"`
}

// Directory is one that the cell needs.
type Directory struct {
	Path  string `json:"path"`
	Mode  string `json:"mode"`
	Owner string `json:"owner,omitempty"`
}

// File is one that the cell needs; its content is a blob.
type File struct {
	Path   string `json:"path"`
	Mode   string `json:"mode"`
	Owner  string `json:"owner,omitempty"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Command is one that is run once; no shell reads it. Where Unless ends with 0
// it isn't run.
type Command struct {
	Command []string `json:"command"`
	Unless  []string `json:"unless,omitempty"`
	Timeout string   `json:"timeout"`
}

// Digest names the genome: of two cells with the same one, either can take the
// other's place.
func (g Genome) Digest() string { return digestOf(g) }

// ParseGenome reads a genome that must be the one of a digest.
func ParseGenome(text []byte, digest string) (Genome, error) {
	var g Genome
	if digestText(text) != digest {
		return g, fmt.Errorf("read genome %s: %w", digest, ErrChanged)
	}
	if err := json.Unmarshal(text, &g); err != nil {
		return g, fmt.Errorf("read genome %s: %w", digest, err)
	}
	if g.Format != Format {
		return g, fmt.Errorf("read genome %s: it has format %d and this version knows %d", digest, g.Format, Format)
	}
	var errs []error
	for _, f := range g.Files {
		errs = append(errs, CheckDigest(f.SHA256))
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Size < 0 {
			errs = append(errs, fmt.Errorf("file %q has no absolute path or no size", f.Path))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return g, fmt.Errorf("read genome %s: %w", digest, err)
	}
	return g, nil
}

// reserved is what belongs to Homeostat itself on a machine that is made from a
// genome.
var reserved = []string{
	"/var/lib/homeostat", "/etc/homeostat",
	"/etc/systemd/system/homeostat.service", "/etc/systemd/system/multi-user.target.wants/homeostat.service",
}

// Reserved reports whether a path of a machine is, or lies below, one that belongs
// to Homeostat itself, and so can be no genome's.
func Reserved(path string) bool { return below(path, reserved) }

func below(path string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") })
}
