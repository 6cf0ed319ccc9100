package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
)

// Phase is how far a machine is with its cell.
//
//	(no claim) -> installing -> installed -> removing -> left -> (no claim)
//	                  |                         ^
//	                  +---- cut, or failed -----+
type Phase string

// The phases of a claim.
const (
	Installing Phase = "installing"
	Installed  Phase = "installed"
	Removing   Phase = "removing"
	Left       Phase = "left"
)

// Claim says whose the machine is and what was made of it. Nothing in it is
// secret.
type Claim struct {
	Service     string `json:"service"`
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"`
	Bundle      string `json:"bundle"`
	Genome      string `json:"genome"`
	Phase       Phase  `json:"phase"`
	// Made is what was, or was just about to be, made here, in that order.
	Made  []Made       `json:"made,omitempty"`
	Units []string     `json:"units,omitempty"` // that were started
	Door  *door.Access `json:"door,omitempty"`
	Reuse bool         `json:"reuse,omitempty"`
}

// Made is one file or folder that was made.
type Made struct {
	Path   string `json:"path"`
	Folder bool   `json:"folder,omitempty"`
	// Before is where what had been in its place is kept.
	Before string `json:"before,omitempty"`
}

// ID is the name of the life.
func (c *Claim) ID() string { return c.Name + "." + c.Incarnation }

// ErrOccupied says that a machine holds another cell.
var ErrOccupied = errors.New("the machine holds another cell")

const claimFile = Home + "/cell.json"

// Claim returns whose the machine is, nil where it is nobody's.
func (m *Machine) Claim() (*Claim, error) {
	text, err := os.ReadFile(m.at(claimFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whose the machine is: %w", err)
	}
	var c Claim
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("read whose the machine is, %s: %w", claimFile, err)
	}
	return &c, nil
}

// claim takes the machine for a life, or goes on with its own claim.
func (m *Machine) claim(ctx context.Context, r Request, b *bundle.Cached) (*Claim, error) {
	was, err := m.Claim()
	if err != nil {
		return nil, err
	}
	switch {
	case was == nil || was.Phase == Left:
	case was.Service != r.Service || was.Name != r.Name:
		return nil, fmt.Errorf("%w: %s of service %s", ErrOccupied, was.ID(), was.Service)
	case was.Incarnation == r.Incarnation && was.Bundle == r.Bundle && (was.Phase == Installing || was.Phase == Installed):
		was.Phase, was.Door, was.Reuse = Installing, r.Door, r.Reuse
		return was, m.write(was)
	default:
		// An earlier life of the cell, or this one from another bundle.
		if err := m.undo(ctx, was); err != nil {
			return nil, err
		}
	}
	c := &Claim{
		Service: r.Service, Name: r.Name, Incarnation: r.Incarnation, Bundle: r.Bundle, Genome: b.Manifest.Genome,
		Phase: Installing, Door: r.Door, Reuse: r.Reuse,
	}
	return c, m.write(c)
}

// write puts the claim on disk, whole or not at all.
func (m *Machine) write(c *Claim) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.at(Home), 0o700); err != nil {
		return fmt.Errorf("note whose the machine is: %w", err)
	}
	if err := renameio.WriteFile(m.at(claimFile), append(text, '\n'), 0o600, renameio.WithTempDir(m.at(Home))); err != nil {
		return fmt.Errorf("note whose the machine is: %w", err)
	}
	return nil
}

// note puts on disk that something is about to be made, unless it says so.
func (i *installation) note(made Made) error {
	if slices.ContainsFunc(i.claim.Made, func(m Made) bool { return m.Path == made.Path }) {
		return nil
	}
	i.claim.Made = append(i.claim.Made, made)
	return i.machine.write(i.claim)
}

// saved is where what was in the place of a file is kept.
func saved(path string) string { return filepath.Join(Home, "before", path) }
