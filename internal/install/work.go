package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
)

// work is one installation.
type work struct {
	*Machine
	request  Request
	progress func(string)

	bundle *bundle.Cached
	made   *Claim
}

// step tells what is done next, unless it isn't to be done any more.
func (w *work) step(ctx context.Context, format string, arguments ...any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	w.progress(fmt.Sprintf(format, arguments...))
	return nil
}

func (w *work) write() error { return w.writeClaim(w.made) }

// claim takes the machine, or takes up what was begun on it.
func (w *work) claim(ctx context.Context) error {
	r := w.request
	if err := w.admit(ctx, r); err != nil {
		return err
	}
	c, err := w.Claim()
	if err != nil {
		return err
	}
	if c != nil && c.isOf(r) {
		w.made = c
		w.made.Door, w.made.Reuse, w.made.PowerOff = r.Door, r.Reuse, r.PowerOff
		return w.write()
	}
	if c != nil && c.Phase != Left {
		if err := w.step(ctx, "clear what an earlier birth left, incarnation %s", c.Incarnation); err != nil {
			return err
		}
		c.Phase = Removing
		if err := errors.Join(w.writeClaim(c), w.clear(ctx, c)); err != nil {
			return fmt.Errorf("clear what was left of incarnation %s: %w", c.Incarnation, err)
		}
	}
	if err := w.keepTree(); err != nil {
		return err
	}
	w.made = &Claim{
		Format: claimFormat, Service: r.Service, Name: r.Name, Incarnation: r.Incarnation,
		Bundle: r.Bundle, Genome: w.bundle.Manifest.Genome, Phase: Installing, Door: r.Door, Reuse: r.Reuse, PowerOff: r.PowerOff,
	}
	return w.write()
}

// settings writes what the cell is started with: secrets, environment and unit.
// The link that has it started at boot is noted here and made at the end.
func (w *work) settings(ctx context.Context) error {
	if err := w.step(ctx, "write the cell's settings"); err != nil {
		return err
	}
	all := append([]place{{path: settingsDir, mode: 0o755, own: true, directory: true}}, w.secrets()...)
	all = append(all, place{path: envFile, mode: 0o600, own: true, text: environmentFile(w.environment())})
	var link []Made
	if w.hasSystemd() {
		text, err := w.unit().text()
		if err != nil {
			return err
		}
		all = append(all, place{path: unitFile, mode: 0o644, own: true, text: text})
		if link, err = w.survey(place{path: unitLink, own: true}); err != nil {
			return err
		}
	}
	if err := resolve(all); err != nil {
		return err
	}
	return w.lay(ctx, all, link)
}

// secrets are files that root owns. Who the application runs as reads them by its
// group, and can't change them: the sidecar may go by the same ones.
func (w *work) secrets() []place {
	directory := place{path: secretsDir, mode: 0o700, own: true, directory: true}
	file := place{mode: 0o600, own: true}
	if user := w.bundle.Genome.User; user != "" {
		directory.mode, directory.owner, directory.readOnly = 0o750, user, true
		file.mode, file.owner, file.readOnly = 0o640, user, true
	}
	all := []place{directory}
	for _, name := range slices.Sorted(maps.Keys(w.request.Secrets)) {
		file.path, file.text = filepath.Join(secretsDir, name), []byte(w.request.Secrets[name])
		all = append(all, file)
	}
	return all
}

// environment is what the cell is started with.
func (w *work) environment() map[string]string {
	all := map[string]string{}
	maps.Copy(all, w.bundle.Genome.Environment)
	maps.Copy(all, w.request.Environment)
	all[birth.Marker] = w.request.ID()
	all["HOMEOSTAT_ADDRESS"] = w.request.Address
	all["HOMEOSTAT_LISTEN"] = net.JoinHostPort(w.request.Address, "0")
	return all
}

// files lays the genome's directories and files down.
func (w *work) files(ctx context.Context) error {
	all, err := places(w.bundle.Genome)
	if err != nil {
		return err
	}
	return w.lay(ctx, all, nil)
}

// lay notes what has to be made, then makes it.
func (w *work) lay(ctx context.Context, all []place, more []Made) error {
	var lacking []place
	for _, p := range all {
		noted, err := w.survey(p)
		if err != nil {
			return fmt.Errorf("look at what is at %s: %w", p.path, err)
		}
		if noted == nil {
			continue
		}
		lacking = append(lacking, p)
		w.note(noted...)
		w.made.Restart = w.made.Restart || !p.directory
	}
	w.note(more...)
	if err := w.write(); err != nil {
		return err
	}
	for _, p := range lacking {
		if err := w.make(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// note adds to the claim what isn't in it. What was there before is known from
// the first time.
func (w *work) note(all ...Made) {
	for _, n := range all {
		if !slices.ContainsFunc(w.made.Made, func(m Made) bool { return m.Path == n.Path }) {
			w.made.Made = append(w.made.Made, n)
		}
	}
}

// survey says what making a place comes to: directories above it that are
// missing, and itself. It is nil where the place is as it is to be. What is
// replaced and not noted yet is saved.
func (w *work) survey(p place) ([]Made, error) {
	there, err := w.before(p.path)
	if err != nil {
		return nil, err
	}
	if p.directory && there != nil {
		return w.surveyDirectory(p)
	}
	if same, err := w.is(p); err != nil || same {
		return nil, err
	}
	var all []Made
	for dir := filepath.Dir(p.path); dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(w.path(dir)); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		all = append(all, Made{Kind: MadeDirectory, Path: dir, Own: p.own})
	}
	slices.Reverse(all)
	made := Made{Kind: MadeFile, Path: p.path, Own: p.own, Before: there}
	if p.directory {
		made.Kind = MadeDirectory
	}
	known := slices.ContainsFunc(w.made.Made, func(m Made) bool { return m.Path == p.path })
	if there != nil && !known {
		err = w.save(p.path, there)
	}
	return append(all, made), err
}

// surveyDirectory looks at a directory that is there, maybe by a link.
func (w *work) surveyDirectory(p place) ([]Made, error) {
	info, err := os.Stat(w.path(p.path))
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("it is no directory but a %s", info.Mode().Type())
	}
	uid, gid := ownerOf(info)
	if info.Mode().Perm() == p.mode && uid == p.uid && gid == p.gid && !p.pending {
		return nil, nil
	}
	was := &Before{Mode: info.Mode(), UID: uid, GID: gid}
	return []Made{{Kind: ChangedDirectory, Path: p.path, Own: p.own, Before: was}}, nil
}

// make makes a place, and the directories above it.
func (w *work) make(ctx context.Context, p place) error {
	if err := w.step(ctx, "write %s", p.path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(w.path(p.path)), 0o755); err != nil {
		return fmt.Errorf("make the directory of %s: %w", p.path, err)
	}
	if !p.directory {
		if err := w.put(p); err != nil {
			return fmt.Errorf("write %s: %w", p.path, err)
		}
		return nil
	}
	w.reached()
	err := os.Mkdir(w.path(p.path), 0o700)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = errors.Join(os.Chown(w.path(p.path), p.uid, p.gid), os.Chmod(w.path(p.path), p.mode))
	}
	if err != nil {
		return fmt.Errorf("make the directory %s: %w", p.path, err)
	}
	return nil
}

// owners gives places to users that weren't there before the commands ran.
func (w *work) owners(ctx context.Context) error {
	all, err := places(w.bundle.Genome)
	if err != nil {
		return err
	}
	secrets := w.secrets()
	if err := resolve(secrets); err != nil {
		return err
	}
	for _, p := range append(all, secrets...) {
		if p.owner == "" {
			continue
		}
		info, err := os.Stat(w.path(p.path))
		if err != nil {
			return fmt.Errorf("give %s to %s: %w", p.path, p.owner, err)
		}
		if uid, gid := ownerOf(info); uid == p.uid && gid == p.gid && !p.pending {
			continue
		}
		if err := w.step(ctx, "give %s to %s", p.path, p.owner); err != nil {
			return err
		}
		if err := w.giveOwner(p); err != nil {
			return err
		}
	}
	return nil
}

// command is how the cell is started, its paths below root.
func (w *work) command(root string) []string {
	program := filepath.Join("/", root, Program)
	policy := filepath.Join(bundlesDir, w.request.Bundle, filepath.FromSlash(w.bundle.Manifest.Policy))
	words := []string{program, "run", "-policy", filepath.Join("/", root, policy)}
	g := w.bundle.Genome
	if len(g.Command) == 0 {
		return words
	}
	words = append(words, "--")
	if g.User != "" {
		// The sidecar itself is root's: it takes the cell off the machine.
		words = append(words, program, "as", g.User, "--")
	}
	return append(words, g.Command...)
}

// unit is the cell's own.
func (w *work) unit() unit {
	cell := fmt.Sprintf("Cell %s of service %s", w.request.Name, w.request.Service)
	return unit{Cell: cell, Units: w.bundle.Genome.Units, Command: w.command("")}
}

// phrase is a command for people.
func phrase(words []string) string { return strings.Join(words, " ") }
