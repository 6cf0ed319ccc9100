package door

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Record is where Shut notes what it takes away. Nothing in it is secret.
const Record = "/var/lib/homeostat/door.json"

// record is what was taken of an access.
type record struct {
	Access Access `json:"access"`
	Lines  []line `json:"lines,omitempty"`
	// Rule is the content of the sudo rule.
	Rule *string  `json:"rule,omitempty"`
	User *account `json:"user,omitempty"`
	// Shut is set once all of it is gone. It doesn't say that the machine refuses
	// who tries: that only a try from outside can.
	Shut bool `json:"shut,omitempty"`
	// Opened is set once it is being put back.
	Opened bool `json:"opened,omitempty"`
}

// IsShut reports whether Shut has come to its end for an access, and it was not
// opened again since.
func IsShut(a Access) (bool, error) {
	r, err := readRecord()
	return r != nil && r.Access == a && r.Shut, err
}

// readRecord returns nil where nothing was noted.
func readRecord() (*record, error) {
	text, err := os.ReadFile(Record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was taken of the access: %w", err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read what was taken of the access, %s: %w", Record, err)
	}
	return &r, nil
}

// note puts what is about to be taken on disk. What an earlier call took of the
// same access, and this one finds no more, stays in it.
func (m *machine) note() error {
	r, err := readRecord()
	if err != nil {
		return err
	}
	if r == nil || r.Access != m.access {
		r = &record{Access: m.access}
	}
	for _, l := range m.lines {
		if !slices.ContainsFunc(r.Lines, func(n line) bool { return n.Path == l.Path && n.Text == l.Text }) {
			r.Lines = append(r.Lines, l)
		}
	}
	if m.access.Temporary && m.user != nil {
		r.User = m.user
	}
	if m.access.SudoRule != "" {
		if err := r.noteRule(); err != nil {
			return err
		}
	}
	r.Shut, r.Opened = false, false
	return r.write()
}

// noteShut puts on disk that nothing of the access is left.
func noteShut() error {
	r, err := readRecord()
	if err != nil {
		return err
	}
	if r == nil {
		return fmt.Errorf("what was taken of the access is no longer noted in %s", Record)
	}
	r.Shut = true
	return r.write()
}

func (r *record) write() error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("note what is taken of the access: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(Record), 0o700); err != nil {
		return fmt.Errorf("note what is taken of the access: %w", err)
	}
	if err := replace(Record, string(text)+"\n", 0o600, 0, 0); err != nil {
		return fmt.Errorf("note what is taken of the access: %w", err)
	}
	return nil
}

func (r *record) noteRule() error {
	text, err := os.ReadFile(r.Access.SudoRule)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the sudo rule: %w", err)
	}
	rule := string(text)
	r.Rule = &rule
	return nil
}

// putRule puts the sudo rule back, if it was taken.
func (r *record) putRule() error {
	if r.Rule == nil {
		return nil
	}
	if err := replace(r.Access.SudoRule, *r.Rule, 0o440, 0, 0); err != nil {
		return fmt.Errorf("put the sudo rule back: %w", err)
	}
	return nil
}
