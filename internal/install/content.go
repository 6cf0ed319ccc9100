package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
)

// open reads the bundle, each content of it verified, and lays its tree out in
// Homeostat's own directory, before the machine is claimed and anything else made.
func (w *work) open(ctx context.Context) error {
	if err := w.step(ctx, "verify bundle %s", short(w.request.Bundle)); err != nil {
		return err
	}
	w.reached()
	b, err := bundle.Load(ctx, w.request.Bundle, w.path(Home))
	if err != nil {
		return err
	}
	w.reached()
	w.bundle = b
	if b.Manifest.Service != w.request.Service {
		return fmt.Errorf("bundle %s is one of service %s", w.request.Bundle, b.Manifest.Service)
	}
	if err := checkGenome(b.Genome, w.request.Service); err != nil {
		return fmt.Errorf("read genome %s: %w", b.Manifest.Genome, err)
	}
	return w.fits(b.Genome)
}

// fits returns an error unless this machine can be made from the genome.
func (m *Machine) fits(g bundle.Genome) error {
	if len(g.Units) > 0 && !m.hasSystemd() {
		return fmt.Errorf("the genome starts %s, and systemd doesn't run this machine", strings.Join(g.Units, ", "))
	}
	if slices.ContainsFunc(g.Files, func(f bundle.File) bool { return f.Path == Program }) {
		return nil
	}
	if _, err := os.Stat(m.path(Program)); err != nil {
		return fmt.Errorf("the genome has no file %s, which is run as the sidecar, and it isn't on the machine: %w", Program, err)
	}
	return nil
}

// keepTree removes the trees of other bundles than the request's, which earlier
// lives have left.
func (w *work) keepTree() error {
	all, err := os.ReadDir(w.path(bundlesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look at what earlier births brought: %w", err)
	}
	for _, entry := range all {
		if entry.Name() == w.request.Bundle {
			continue
		}
		if err := w.removeAll(filepath.Join(bundlesDir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// checkGenome finds what could lead to Homeostat's own files, or to nothing. It
// was checked when it was published; what comes with a digest may come from
// elsewhere.
func checkGenome(g bundle.Genome, service string) error {
	if g.Format != bundle.Format || g.Service != service {
		return fmt.Errorf("it is one of %q in format %d, and %q in format %d is wanted", g.Service, g.Format, service, bundle.Format)
	}
	var errs []error
	seen := map[string]bool{}
	for _, d := range g.Directories {
		errs = append(errs, checkPlace(d.Path, d.Mode, seen))
	}
	for _, f := range g.Files {
		errs = append(errs, checkPlace(f.Path, f.Mode, seen), bundle.CheckDigest(f.SHA256))
	}
	for name, value := range g.Environment {
		errs = append(errs, checkVariable(name, value))
	}
	for _, c := range g.Run {
		if _, err := time.ParseDuration(c.Timeout); err != nil || len(c.Command) == 0 {
			errs = append(errs, fmt.Errorf("the command %q has no words, or no timeout", c.Command))
		}
	}
	for _, name := range g.Units {
		if strings.HasPrefix(name, "-") || strings.ContainsFunc(name, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) || c == '%' }) {
			errs = append(errs, fmt.Errorf("%q is no name of a unit", name))
		}
	}
	return errors.Join(errs...)
}

func checkPlace(p, mode string, seen map[string]bool) error {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || bundle.Reserved(p) || seen[p] {
		return fmt.Errorf("the path %q isn't absolute and plain, is named twice, or lies among Homeostat's own", p)
	}
	seen[p] = true
	if _, err := parseMode(mode); err != nil {
		return fmt.Errorf("%s has the mode %q: %w", p, mode, err)
	}
	return nil
}

func parseMode(mode string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(mode, 8, 9)
	return fs.FileMode(n), err
}

// short is a digest for people.
func short(digest string) string { return digest[:12] }
