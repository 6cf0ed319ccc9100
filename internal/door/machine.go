package door

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// machine is what there is of an access on this machine.
type machine struct {
	access  Access
	keys    keySet
	daemons []daemon
	user    *account // nil if there is no such account
	places  []place  // every file that may hold a key, once
	lines   []line   // what of them gets in
}

// line is one that gets a birth in.
type line struct {
	Path string `json:"path"`
	Text string `json:"text"`
	// User is whose file it is; empty for one of authorities.
	User string `json:"user,omitempty"`
	what string
}

// survey looks at all that may have to do with an access.
func survey(ctx context.Context, a Access) (*machine, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	all, err := processes()
	if err != nil {
		return nil, err
	}
	m := &machine{access: a}
	if m.daemons, err = daemons(all); err != nil {
		return nil, err
	}
	return m, m.look(ctx)
}

// look looks again, by the same sshds: one that reads its configuration shows
// none for a moment.
func (m *machine) look(ctx context.Context) error {
	var err error
	if m.keys, err = m.access.keys(); err != nil {
		return err
	}
	users, err := accounts()
	if err != nil {
		return err
	}
	m.user, m.places, m.lines = nil, nil, nil
	if i := slices.IndexFunc(users, func(u account) bool { return u.Name == m.access.User }); i >= 0 {
		m.user = &users[i]
	}
	for _, d := range m.daemons {
		places, err := d.places(ctx, m.access.User, users)
		if err != nil {
			return err
		}
		m.places = append(m.places, places...)
	}
	return m.search()
}

// search finds the lines. Two places may be one file, by a link.
func (m *machine) search() error {
	seen := map[string]bool{}
	var places []place
	for _, p := range m.places {
		path, err := filepath.EvalSymlinks(p.path)
		if err != nil {
			path = p.path
		}
		if seen[path] {
			continue
		}
		seen[path] = true
		p.path = path
		places = append(places, p)
		texts, err := readLines(path)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if what := m.keys.of(text); what != "" {
				m.lines = append(m.lines, line{Path: path, Text: text, User: p.user.Name, what: what})
			}
		}
	}
	m.places = places
	return nil
}

// standing says what of the access is there.
func (m *machine) standing() ([]string, error) {
	var left []string
	for _, l := range m.lines {
		left = append(left, fmt.Sprintf("the %s is in %s", l.what, l.Path))
	}
	if rule := m.access.SudoRule; rule != "" {
		if _, err := os.Lstat(rule); !errors.Is(err, fs.ErrNotExist) {
			left = append(left, fmt.Sprintf("the sudo rule %s is there", rule))
		}
	}
	if m.access.Temporary && m.user != nil {
		left = append(left, fmt.Sprintf("the user %s is there", m.user.Name))
	}
	sessions, err := m.sessions()
	for _, p := range sessions {
		left = append(left, fmt.Sprintf("process %d is a session of %s", p.pid, m.access.User))
	}
	return left, err
}

// removeLines removes the lines that get in, and nothing else.
func (m *machine) removeLines() error {
	for _, p := range m.places {
		if !slices.ContainsFunc(m.lines, func(l line) bool { return l.Path == p.path }) {
			continue
		}
		texts, err := readLines(p.path)
		if err != nil {
			return err
		}
		kept := slices.DeleteFunc(texts, func(text string) bool { return m.keys.of(text) != "" })
		if err := rewrite(p.path, kept); err != nil {
			return fmt.Errorf("take a key out of %s: %w", p.path, err)
		}
	}
	return nil
}

func (m *machine) removeRule() error {
	if m.access.SudoRule == "" {
		return nil
	}
	if err := os.Remove(m.access.SudoRule); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the sudo rule: %w", err)
	}
	return nil
}
