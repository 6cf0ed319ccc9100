package door

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// defaultConfig is what sshd reads unless it is told otherwise.
const defaultConfig = "/etc/ssh/sshd_config"

// askLimit is how long sshd may take to print its configuration.
const askLimit = 20 * time.Second

// daemon is an sshd of this machine: one that listens, or the program alone
// where something else listens for it.
type daemon struct {
	pid     int // 0 for the program alone
	program string
	flags   []string // -f and -o as it was started with
}

// daemons lists the sshds that listen; where there is none, the program.
func daemons(all []process) ([]daemon, error) {
	var found []daemon
	for _, p := range all {
		if p.isListener(all) {
			found = append(found, p.daemon())
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("find sshd: none listens, and there is no program: %w", err)
	}
	return []daemon{{program: program}}, nil
}

// isListener tells the sshd that listens from those that serve a connection:
// these show whom they serve, or are run by the listener, or by inetd's way.
func (p process) isListener(all []process) bool {
	if p.base() != "sshd" || p.uid != 0 || slices.Contains(p.words(), "-i") {
		return false
	}
	parent := slices.IndexFunc(all, func(q process) bool { return q.pid == p.parent })
	if parent >= 0 && all[parent].base() == "sshd" {
		return false
	}
	return !strings.HasPrefix(p.line, "sshd: ") || strings.Contains(p.line, "[listener]")
}

// daemon reads the flags of a listener that say where its configuration is.
// Newer ones show a title, which has them after "sshd: ".
func (p process) daemon() daemon {
	d := daemon{pid: p.pid, program: p.program}
	words := p.words()
	for i, word := range words {
		next := i+1 < len(words)
		switch {
		case (word == "-f" || word == "-o") && next:
			d.flags = append(d.flags, word, words[i+1])
		case len(word) > 2 && (strings.HasPrefix(word, "-f") || strings.HasPrefix(word, "-o")):
			d.flags = append(d.flags, word)
		}
	}
	return d
}

// config is the file of its configuration.
func (d daemon) config() string {
	for i, flag := range d.flags {
		if flag == "-f" && i+1 < len(d.flags) {
			return d.flags[i+1]
		}
		if strings.HasPrefix(flag, "-f") {
			return flag[2:]
		}
	}
	return defaultConfig
}

// effective asks sshd what it would go by for a user: keywords, in small
// letters, with their arguments. It fails where the configuration is wrong.
func (d daemon) effective(ctx context.Context, user string) (map[string][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	arguments := append(slices.Clone(d.flags), "-T", "-C", "user="+user+",host=localhost,addr=127.0.0.1")
	cmd := exec.CommandContext(ctx, d.program, arguments...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &complaint, time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ask %s for its configuration: %w: %s", d.program, err, strings.TrimSpace(complaint.String()))
	}
	values := map[string][]string{}
	for line := range strings.Lines(out.String()) {
		keyword, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		values[keyword] = append(values[keyword], strings.Fields(rest)...)
	}
	return values, nil
}

// reload has the sshds that listen read their configuration again, so that they
// go by the one that was looked at. Its being right was seen before.
func (m *machine) reload(ctx context.Context) error {
	for _, d := range m.daemons {
		if d.pid == 0 {
			continue
		}
		if err := syscall.Kill(d.pid, syscall.SIGHUP); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("have sshd read its configuration again: %w", err)
		}
	}
	return ctx.Err()
}

// place is a file in which sshd looks for keys, and whose it is.
type place struct {
	path string
	user account // the zero account for an authority's file
}

// places lists the files in which sshd looks for keys: those it says it goes by
// for the user, and those that stand in any part of its configuration, for every
// account, since a key that birth used must open none.
func (d daemon) places(ctx context.Context, user string, accounts []account) ([]place, error) {
	said, err := d.effective(ctx, user)
	if err != nil {
		return nil, err
	}
	written := map[string][]string{}
	if err := readConfig(d.config(), written, 0); err != nil {
		return nil, err
	}
	var all []place
	for _, file := range append(said["trustedusercakeys"], written["trustedusercakeys"]...) {
		if file != "none" && filepath.IsAbs(file) {
			all = append(all, place{path: file})
		}
	}
	patterns := append(said["authorizedkeysfile"], written["authorizedkeysfile"]...)
	for _, account := range accounts {
		for _, pattern := range patterns {
			if pattern != "none" {
				all = append(all, place{path: account.expand(pattern), user: account})
			}
		}
	}
	return all, nil
}
