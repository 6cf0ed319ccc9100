// Package door takes away the access that a birth used to get into a machine,
// and gives it back. It runs on the machine, as root.
//
// Only what is named goes: an authorised key or an authority by its exact key,
// whatever stands beside it in the file, a rule of sudo by its file, and a user
// only if it was made for births. Everybody else gets in as before, though all
// connections of the account that birth used are closed once: whose they are can't
// be told. What was taken is noted, public as it is, so that it can be put back.
//
// It leaves out whether the machine really is shut, which only a try from
// outside can tell, and access that isn't in files: AuthorizedKeysCommand, a
// password, another program than OpenSSH's sshd.
package door

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Access is how a birth gets into a machine.
type Access struct {
	// User is who it logs in as.
	User string `json:"user"`
	// AuthorizedKey and Authority are the public key lines of its key and of the
	// certificate authority that signs its keys; either may be empty.
	AuthorizedKey string `json:"authorized_key,omitempty"`
	Authority     string `json:"authority,omitempty"`
	// Temporary says that the user was made for births: it goes, with its home.
	Temporary bool `json:"temporary,omitempty"`
	// SudoRule is the file in /etc/sudoers.d that birth uses, or empty.
	SudoRule string `json:"sudo_rule,omitempty"`
}

var userRE = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

const sudoers = "/etc/sudoers.d"

// Check says everything that is wrong with an access.
func (a Access) Check() error {
	var errs []error
	if !userRE.MatchString(a.User) {
		errs = append(errs, fmt.Errorf("the user %q is no name of an account", a.User))
	}
	if a.Temporary && a.User == "root" {
		errs = append(errs, errors.New("root can't be a user made for births"))
	}
	if a.SudoRule != "" && (filepath.Dir(a.SudoRule) != sudoers || filepath.Clean(a.SudoRule) != a.SudoRule) {
		errs = append(errs, fmt.Errorf("the sudo rule %q is no file in %s", a.SudoRule, sudoers))
	}
	_, err := a.keys()
	return errors.Join(append(errs, err)...)
}

// keys are the key and the authority, in their binary form. Each gets in by
// itself and, as an authority, through what it signs, so either may stand in
// no file at all.
func (a Access) keys() (keySet, error) {
	set := keySet{}
	for what, line := range map[string]string{"authorised key": a.AuthorizedKey, "authority": a.Authority} {
		if line == "" {
			continue
		}
		key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(rest) > 0 || strings.ContainsAny(strings.TrimSpace(line), "\r\n") {
			return nil, fmt.Errorf("the %s %q is no single line of a public key", what, line)
		}
		set[string(key.Marshal())] = what
	}
	return set, nil
}

// keySet names keys by their binary form.
type keySet map[string]string

// of names the key that a line of a file holds, empty if it is none of the set.
func (s keySet) of(line string) string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)) //nolint:dogsled // only the key counts
	if err != nil {
		return ""
	}
	return s[string(key.Marshal())]
}

// ErrOpen says that something of an access could not be taken away.
var ErrOpen = errors.New("the machine can still be got into")

// Shut takes an access away. It may be repeated, also after it was cut. The
// connection it is called through, if it is one of the user's, ends half a
// second after the calling process has, so that the caller gets its answer.
func Shut(ctx context.Context, a Access) error {
	unlock, err := lock(ctx)
	if err == nil {
		err = shut(ctx, a)
		unlock()
	}
	if err != nil {
		return fmt.Errorf("shut the door to %s: %w", a.User, err)
	}
	return nil
}

func shut(ctx context.Context, a Access) error {
	m, err := survey(ctx, a)
	if err != nil {
		return err
	}
	if err := m.note(); err != nil {
		return err
	}
	if err := m.removeLines(); err != nil {
		return err
	}
	if err := m.removeRule(); err != nil {
		return err
	}
	if err := m.reload(ctx); err != nil {
		return err
	}
	if err := m.endSessions(ctx); err != nil {
		return err
	}
	if a.Temporary {
		if err := m.removeUser(ctx); err != nil {
			return err
		}
	}
	if err := m.look(ctx); err != nil {
		return err
	}
	left, err := m.standing()
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%w: %s", ErrOpen, strings.Join(left, "; "))
	}
	if err := noteShut(); err != nil {
		return err
	}
	return m.endOwn()
}

// Finish shuts a door whose shutting was begun and cut, as by the machine's power or
// by the end of the process that did it, with all of it that still stands. Where it
// was not begun, where it came to its end, where it was opened again, or while
// somebody is at it, it does nothing: who gets in later is no birth.
func Finish(ctx context.Context, a Access) error {
	unlock, err := tryLock()
	if errors.Is(err, errBusy) {
		return nil
	}
	if err == nil {
		err = finish(ctx, a)
		unlock()
	}
	if err != nil {
		return fmt.Errorf("shut the rest of the door to %s: %w", a.User, err)
	}
	return nil
}

func finish(ctx context.Context, a Access) error {
	begun, err := readRecord()
	if err != nil || begun == nil || begun.Access != a || begun.Opened || begun.Shut {
		return err
	}
	return shut(ctx, a)
}

// Open puts an access back: where Shut took it from, or, where it didn't, to the
// place where sshd looks first. It may be repeated.
func Open(ctx context.Context, a Access) error {
	if err := open(ctx, a); err != nil {
		return fmt.Errorf("open the door to %s: %w", a.User, err)
	}
	return nil
}

func open(ctx context.Context, a Access) error {
	if err := a.Check(); err != nil {
		return err
	}
	taken, err := readRecord()
	if err != nil {
		return err
	}
	if taken == nil || taken.Access != a {
		taken = &record{Access: a}
	}
	taken.Shut, taken.Opened = false, true
	if err := taken.write(); err != nil {
		return err
	}
	if a.Temporary {
		if err := taken.makeUser(ctx); err != nil {
			return err
		}
	}
	if err := taken.putRule(); err != nil {
		return err
	}
	m, err := survey(ctx, a)
	if err != nil {
		return err
	}
	if err := m.putLines(ctx, taken); err != nil {
		return err
	}
	if err := os.Remove(lockFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
