package door

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// putLines puts back the lines that were taken. A key or authority that none of
// them holds goes where sshd looks first.
func (m *machine) putLines(ctx context.Context, taken *record) error {
	lines := slices.Clone(taken.Lines)
	for _, want := range []line{{Text: m.access.AuthorizedKey}, {Text: m.access.Authority}} {
		want.Text = strings.TrimSpace(want.Text)
		what := m.keys.of(want.Text)
		if want.Text == "" || slices.ContainsFunc(slices.Concat(lines, m.lines), func(l line) bool { return m.keys.of(l.Text) == what }) {
			continue
		}
		l, err := m.first(ctx, want.Text, want.Text == strings.TrimSpace(m.access.Authority))
		if err != nil {
			return err
		}
		lines = append(lines, l)
	}
	for _, l := range lines {
		if err := m.put(l); err != nil {
			return fmt.Errorf("put a key into %s: %w", l.Path, err)
		}
	}
	return nil
}

// first is where sshd looks first for a key of the user's. Where it trusts no
// authorities of everybody's, the user's own keys may name one.
func (m *machine) first(ctx context.Context, text string, authority bool) (line, error) {
	said, err := m.daemons[0].effective(ctx, m.access.User)
	if err != nil {
		return line{}, err
	}
	if authority {
		if files := said["trustedusercakeys"]; len(files) > 0 && filepath.IsAbs(files[0]) {
			return line{Path: files[0], Text: text}, nil
		}
		text = "cert-authority " + text
	}
	files := said["authorizedkeysfile"]
	if m.user == nil || len(files) == 0 || files[0] == "none" {
		return line{}, fmt.Errorf("find a file for the keys of %s: there is no such user, or sshd reads none", m.access.User)
	}
	return line{Path: m.user.expand(files[0]), Text: text, User: m.user.Name}, nil
}

// put adds a line to a file, unless it is there, and makes the file if it is not.
func (m *machine) put(l line) error {
	texts, err := readLines(l.Path)
	if err != nil {
		return err
	}
	text := strings.TrimRight(l.Text, "\r\n")
	if slices.ContainsFunc(texts, func(t string) bool { return strings.TrimRight(t, "\r\n") == text }) {
		return nil
	}
	if n := len(texts); n > 0 && !strings.HasSuffix(texts[n-1], "\n") {
		texts[n-1] += "\n"
	}
	texts = append(texts, text+"\n")
	_, err = os.Stat(l.Path)
	if !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, rewrite(l.Path, texts))
	}
	if l.User == "" {
		return replace(l.Path, strings.Join(texts, ""), 0o644, 0, 0)
	}
	return m.putNew(l, strings.Join(texts, ""))
}

// putNew makes a user's file of keys, and the folder it lies in, as sshd wants
// them: nobody else may write there.
func (m *machine) putNew(l line, text string) error {
	users, err := accounts()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(users, func(u account) bool { return u.Name == l.User })
	if i < 0 {
		return fmt.Errorf("there is no user %s any more", l.User)
	}
	user := users[i]
	folder := filepath.Dir(l.Path)
	err = os.Mkdir(folder, 0o700)
	if err == nil {
		err = os.Chown(folder, user.UID, user.GID)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return replace(l.Path, text, 0o600, user.UID, user.GID)
}
