package act

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MendState puts a local state back that a killed Terraform left cut: Terraform
// writes that file in place, so that a kill in the middle of the write leaves
// it empty or in half, and an empty one is read as a service without cells.
// What the state was before the apply is in the backup that Terraform made; what
// the apply had done since is found again by the next plan's refresh, and by
// births that are taken up under their own names.
//
// It does so only while no Terraform holds the state's lock, and only where the
// state can't be read and the backup can. It tells whether it did. Other
// backends write whole states, and are left alone.
func (r *Root) MendState() (mended bool, err error) {
	if r.module.Backend != "local" {
		return false, nil
	}
	path := r.localState()
	state, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether the state is whole: %w", err)
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	// Terraform's own lock of a local state is this one.
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(state.Fd(), unix.F_SETLK, &lock); err != nil {
		return false, nil // Somebody writes it at this moment, so it isn't cut.
	}
	return mend(state, path+".backup")
}

// mend writes the backup over a state that can't be read.
func mend(state *os.File, backup string) (bool, error) {
	content, err := io.ReadAll(state)
	if err != nil {
		return false, fmt.Errorf("read the state %s: %w", state.Name(), err)
	}
	if json.Valid(content) {
		return false, nil
	}
	before, err := os.ReadFile(backup)
	if errors.Is(err, fs.ErrNotExist) && len(content) == 0 {
		return false, nil // the file is made empty by the first lock
	}
	if err != nil || !json.Valid(before) {
		return false, fmt.Errorf("the state %s is cut, and its backup %s can't take its place: restore it by hand: %w",
			state.Name(), backup, errors.Join(err, ErrBackend))
	}
	// In place, as Terraform does: the lock is on this very file.
	if _, err := state.WriteAt(before, 0); err != nil {
		return false, fmt.Errorf("put the state %s back: %w", state.Name(), err)
	}
	if err := state.Truncate(int64(len(before))); err != nil {
		return false, fmt.Errorf("put the state %s back: %w", state.Name(), err)
	}
	return true, state.Sync()
}

// backendConfig is what completes the module's backend at init: what the policy
// says, and for a local state that is Terraform's default one by another spelling
// the default spelling.
//
// For init in a new data directory moves what the default state holds to the
// backend, and empties the default one where the two are alike. Whether they are
// the same file it tells by their names alone, so that a state whose path is
// written out in full would be emptied by each leader (Terraform 1.11,
// internal/command/meta_backend.go, backend_C_r_s).
func (r *Root) backendConfig() map[string]string {
	settings := make(map[string]string, len(r.cfg.BackendConfig)+2)
	maps.Copy(settings, r.cfg.BackendConfig)
	if r.module.Backend != "local" {
		return settings
	}
	for key, standard := range map[string]string{"path": defaultState, "workspace_dir": defaultWorkspaces} {
		if said := r.backendSetting(key, standard); said != standard && r.sameFile(said, standard) {
			settings[key] = standard
		}
	}
	return settings
}

// sameFile tells whether two paths lead to one file, which may not be there yet.
func (r *Root) sameFile(a, b string) bool {
	a, b = r.inModule(a), r.inModule(b)
	if same(a, b) {
		return true
	}
	return filepath.Base(a) == filepath.Base(b) && same(filepath.Dir(a), filepath.Dir(b))
}

func same(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

// LocalState is where the local backend keeps the state; empty for any other.
func (r *Root) LocalState() string {
	if r.module.Backend != "local" {
		return ""
	}
	return r.localState()
}

// The names that the local backend uses where the module sets none.
const (
	defaultState      = "terraform.tfstate"
	defaultWorkspaces = "terraform.tfstate.d"
)

// localState is where the local backend keeps the state.
func (r *Root) localState() string {
	path := r.backendSetting("path", defaultState)
	if w := r.cfg.Workspace; w != "" && w != "default" {
		path = filepath.Join(r.backendSetting("workspace_dir", defaultWorkspaces), w, defaultState)
	}
	return r.inModule(path)
}

// backendSetting is one setting of the backend: the policy's, or the module's.
func (r *Root) backendSetting(key, standard string) string {
	return cmp.Or(r.cfg.BackendConfig[key], r.module.BackendSettings[key], standard)
}

// inModule is a path as Terraform takes it, which runs in the module's directory.
func (r *Root) inModule(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.cfg.Dir, path)
}
