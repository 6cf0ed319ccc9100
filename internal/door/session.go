package door

import (
	"context"
	_ "embed" // the script that ends the own connection
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed endown.sh
var endOwnScript string

const (
	// gracePeriod is what processes get between SIGTERM and SIGKILL.
	gracePeriod = 2 * time.Second
	// endLimit is how long processes may take to be gone after all.
	endLimit = 15 * time.Second
	// settleTime is what sshd gets to show whom it has let in.
	settleTime = 200 * time.Millisecond
	// endPause is the time between two looks at whether they are.
	endPause = 20 * time.Millisecond
)

// serves reports whether a process is an sshd that serves the user, which its
// title says. Newer sshds have a program of its own for that.
func (p process) serves(user string) bool {
	if !p.isSSHD() {
		return false
	}
	title, ok := strings.CutPrefix(p.line, "sshd: ")
	if !ok {
		title, ok = strings.CutPrefix(p.line, "sshd-session: ")
	}
	rest, isUser := strings.CutPrefix(title, user)
	return ok && isUser && (strings.HasPrefix(rest, "@") || rest == " [priv]" || rest == "")
}

func (p process) isSSHD() bool {
	base := p.base()
	return base == "sshd" || base == "sshd-session" || base == "sshd-auth"
}

// asks reports whether whoever a process serves isn't let in yet: then a child
// of it talks to the network without any right. On a public machine there are
// always some who try to become root.
func (p process) asks(all []process) bool {
	return slices.ContainsFunc(all, func(q process) bool {
		return q.parent == p.pid && q.isSSHD() && (q.base() == "sshd-auth" || strings.HasSuffix(q.line, " [net]"))
	})
}

// sessions are the processes that serve the user, but for those of the
// connection this process was called through.
func (m *machine) sessions() ([]process, error) {
	return others(func(p process, all []process) bool { return p.serves(m.access.User) && !p.asks(all) })
}

// others are the processes that are meant, without this one and those above it.
func others(meant func(p process, all []process) bool) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	own := ancestry(all)
	var found []process
	for _, p := range all {
		if meant(p, all) && !slices.ContainsFunc(own, func(o process) bool { return o.pid == p.pid }) {
			found = append(found, p)
		}
	}
	return found, nil
}

// endSessions closes the other connections of the user. Who opened them can't be
// told. One that was let in just before the key went shows up a moment later, so
// it looks twice.
func (m *machine) endSessions(ctx context.Context) error {
	for look := range 2 {
		if look > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(settleTime):
			}
		}
		if err := end(ctx, m.sessions); err != nil {
			return fmt.Errorf("close the sessions of %s: %w", m.access.User, err)
		}
	}
	return nil
}

// end ends processes until there are none.
func end(ctx context.Context, find func() ([]process, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, endLimit, fmt.Errorf("they were not gone after %s", endLimit))
	defer cancel()
	kill := time.Now().Add(gracePeriod)
	for {
		found, err := find()
		if err != nil || len(found) == 0 {
			return err
		}
		signal := syscall.SIGTERM
		if time.Now().After(kill) {
			signal = syscall.SIGKILL
		}
		for _, p := range found {
			if err := syscall.Kill(p.pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d (%s): %w", p.pid, p.line, err)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(endPause):
		}
	}
}

// endOwn has the connection that this process was called through end once this
// process has. A process of its own does that, since this one and all between
// it and sshd are needed to carry the answer.
func (m *machine) endOwn() error {
	all, err := processes()
	if err != nil {
		return err
	}
	own := ancestry(all)
	first := slices.IndexFunc(own, func(p process) bool { return p.serves(m.access.User) })
	if first < 0 {
		return nil
	}
	arguments := []string{"-c", endOwnScript, "sh", strconv.Itoa(os.Getpid())}
	for _, p := range own[first:] {
		if p.serves(m.access.User) {
			arguments = append(arguments, strconv.Itoa(p.pid))
		}
	}
	for _, below := range own[1:first] {
		arguments = append(arguments, strconv.Itoa(below.pid))
	}
	cmd := exec.Command("/bin/sh", arguments...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("have the own connection end: %w", err)
	}
	return cmd.Process.Release()
}
