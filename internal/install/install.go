// Package install makes a cell of the machine that it runs on, and takes it off
// again. It is the same for all births on machines: over SSH the content is
// brought first and then this is run there; a first boot downloads the content
// and runs the same.
//
// What it makes it notes before it makes it, so whoever finds an install that was
// cut, or has the cell leave, undoes that and nothing else. Content comes from
// blobs on the machine, named by their digests, and is verified once more.
//
// Commands that the genome runs can't be undone, and packages they installed
// stay. How birth gets in and is kept out afterwards is of package door.
package install

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
)

// Where things are on a machine, below Machine.Root.
const (
	// Home holds the claim, and the cache of blobs and bundles.
	Home = "/var/lib/homeostat"
	// Starter is where a birth over SSH puts the program to call this with.
	Starter = Home + "/program"
	// Program is the program that is run as the sidecar.
	Program = "/usr/local/bin/homeostat"

	configDirectory  = "/etc/homeostat"
	environmentFile  = configDirectory + "/cell.env"
	secretsDirectory = configDirectory + "/secrets"
	unitFile         = "/etc/systemd/system/" + unitName
	unitName         = "homeostat.service"
)

// Request is what is to live on a machine.
type Request struct {
	Service     string `json:"service"`
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"`
	// Bundle is the digest of what to make it from, whose content lies in Home.
	Bundle string `json:"bundle"`
	// Address is at which address of the machine others reach cell and sidecar.
	Address string `json:"address"`
	// Environment tells the sidecar who the cell is. It is no place for secrets.
	Environment map[string]string `json:"environment,omitempty"`
	// Secrets are written to files of their names that only root reads. They stand
	// in no argument, environment, log or note.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Door is how birth got in; nil where nobody did.
	Door *door.Access `json:"door,omitempty"`
	// Reuse has the door opened again when the cell leaves.
	Reuse bool `json:"reuse,omitempty"`
}

// ID is the life's name.
func (r Request) ID() string { return r.Name + "." + r.Incarnation }

func (r Request) check() error {
	errs := []error{birth.CheckName("service", r.Service), birth.CheckName("name", r.Name), bundle.CheckDigest(r.Bundle)}
	if r.Incarnation == "" {
		errs = append(errs, errors.New("the incarnation is empty"))
	}
	if r.Address == "" {
		errs = append(errs, errors.New("the address is empty"))
	}
	for name, value := range r.Environment {
		errs = append(errs, checkVariable(name, value))
	}
	for name := range r.Secrets {
		errs = append(errs, birth.CheckName("secret", name))
	}
	if r.Door != nil {
		errs = append(errs, r.Door.Check())
	}
	return errors.Join(errs...)
}

// Machine is the one that this runs on.
type Machine struct {
	// Root is put before every path; empty but in tests.
	Root string
	// Systemd runs systemctl; tests put another in its place.
	Systemd func(ctx context.Context, args ...string) error
	Log     *slog.Logger
}

// This is the machine that this runs on.
func This(log *slog.Logger) *Machine { return &Machine{Systemd: systemctl, Log: log} }

// at is where a path of the machine is.
func (m *Machine) at(path string) string { return filepath.Join(m.Root, path) }

// Install makes the cell and starts it. A second install of the same life goes on
// where the first was cut; one of another life of the same name undoes that first,
// and of another cell it refuses with ErrOccupied. progress is told each step.
func (m *Machine) Install(ctx context.Context, r Request, progress func(step string)) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := m.install(ctx, r, progress); err != nil {
		return fmt.Errorf("install %s: %w", r.ID(), err)
	}
	return nil
}

func (m *Machine) install(ctx context.Context, r Request, progress func(string)) error {
	progress("verify what was brought")
	b, err := bundle.Load(ctx, r.Bundle, m.at(Home))
	if err != nil {
		return err
	}
	progress("claim the machine")
	c, err := m.claim(ctx, r, b)
	if err != nil {
		return err
	}
	i := &installation{machine: m, request: r, bundle: b, claim: c}
	for _, step := range i.steps() {
		progress(step.name)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, maskError(err, r.Secrets))
		}
	}
	c.Phase = Installed
	return m.write(c)
}

// installation is one run of Install.
type installation struct {
	machine *Machine
	request Request
	bundle  *bundle.Cached
	claim   *Claim
}

type step struct {
	name string
	do   func(context.Context) error
}

func (i *installation) steps() []step {
	genome := i.bundle.Genome
	steps := []step{
		{"make directories", i.directories},
		{"write files", i.files},
		{"write secrets", i.secrets},
	}
	for _, c := range genome.Run {
		steps = append(steps, step{"run " + c.Command[0], func(ctx context.Context) error { return i.command(ctx, c) }})
	}
	if len(genome.Units) > 0 {
		steps = append(steps, step{"start units", i.units})
	}
	return append(steps, step{"start the cell", i.start})
}

// directories makes those of the genome.
func (i *installation) directories(context.Context) error {
	for _, d := range i.bundle.Genome.Directories {
		if err := i.directory(d.Path, d.Mode, d.Owner); err != nil {
			return err
		}
	}
	return nil
}

// files lays the genome's files out.
func (i *installation) files(ctx context.Context) error {
	for _, f := range i.bundle.Genome.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		content, err := os.Open(i.bundle.Blob(f.SHA256))
		if err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
		err = i.file(f.Path, f.Mode, f.Owner, content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return nil
}
