package door

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// toolLimit is how long useradd and the like may take.
const toolLimit = time.Minute

// removeUser removes the temporary user with its processes and its home. The
// processes between sshd and this one end with the connection.
func (m *machine) removeUser(ctx context.Context) error {
	if m.user == nil {
		return nil
	}
	if m.user.UID == 0 {
		return fmt.Errorf("remove the user %s: it is root by another name", m.user.Name)
	}
	mine := func(p process, _ []process) bool { return p.uid == m.user.UID }
	if err := end(ctx, func() ([]process, error) { return others(mine) }); err != nil {
		return fmt.Errorf("end the processes of %s: %w", m.user.Name, err)
	}
	if err := m.removeHome(); err != nil {
		return fmt.Errorf("remove the home of %s: %w", m.user.Name, err)
	}
	// Forced, since it is logged in: this very process runs in its session.
	if err := tool(ctx, "userdel", "--force", m.user.Name); err != nil {
		return err
	}
	m.user = nil
	return nil
}

// removeHome removes the home if it is the user's own and nobody else's.
func (m *machine) removeHome() error {
	home := filepath.Clean(m.user.Home)
	info, err := os.Lstat(home)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	users, err := accounts()
	if err != nil {
		return err
	}
	shared := slices.ContainsFunc(users, func(u account) bool {
		other := filepath.Clean(u.Home)
		return u.Name != m.user.Name && (other == home || strings.HasPrefix(other, home+"/"))
	})
	if !info.IsDir() || shared || strings.Count(home, "/") < 2 || ownerOf(info) != m.user.UID {
		return fmt.Errorf("%s is no folder of this user's alone", home)
	}
	return os.RemoveAll(home)
}

// makeUser makes the temporary user again, as it was, if it isn't there. No
// password opens it, and unlike one that is locked it may come in by key.
func (r *record) makeUser(ctx context.Context) error {
	users, err := accounts()
	if err != nil || slices.ContainsFunc(users, func(u account) bool { return u.Name == r.Access.User }) {
		return err
	}
	arguments := []string{"--create-home", "--password", "*"}
	if u := r.User; u != nil {
		if !slices.ContainsFunc(users, func(o account) bool { return o.UID == u.UID }) {
			arguments = append(arguments, "--uid", strconv.Itoa(u.UID))
		}
		if err := r.makeGroup(ctx); err != nil {
			return err
		}
		arguments = append(arguments, "--home-dir", u.Home, "--shell", u.Shell, "--comment", u.Comment)
		if u.Group != "" {
			arguments = append(arguments, "--gid", u.Group)
		}
		if len(u.Groups) > 0 {
			arguments = append(arguments, "--groups", strings.Join(u.Groups, ","))
		}
	}
	return tool(ctx, "useradd", append(arguments, r.Access.User)...)
}

// makeGroup makes the user's own group, which went with it.
func (r *record) makeGroup(ctx context.Context) error {
	groups, err := readColons("/etc/group", 4)
	if err != nil || r.User.Group == "" {
		return err
	}
	if slices.ContainsFunc(groups, func(f []string) bool { return f[0] == r.User.Group }) {
		return nil
	}
	arguments := []string{r.User.Group}
	if id := strconv.Itoa(r.User.GID); !slices.ContainsFunc(groups, func(f []string) bool { return f[2] == id }) {
		arguments = append([]string{"--gid", id}, arguments...)
	}
	return tool(ctx, "groupadd", arguments...)
}

func tool(ctx context.Context, name string, arguments ...string) error {
	ctx, cancel := context.WithTimeout(ctx, toolLimit)
	defer cancel()
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/sbin", name) // a user's PATH may lack it
	}
	out, err := exec.CommandContext(ctx, path, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
