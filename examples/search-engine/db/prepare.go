package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// prepare makes the data directory one to serve from: present, initialised,
// owned by the right account, and no longer in use by a server before.
func (p *postgres) prepare(ctx context.Context, directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := p.account.own(directory); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(p.data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return p.initialise(ctx)
	}
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	return p.awaitPredecessor(ctx)
}

// initialise makes a new database cluster. It is made beside its place and
// renamed, so that a crash half-way leaves nothing that looks like one.
func (p *postgres) initialise(ctx context.Context) error {
	slog.Info("initialising", "data", p.data)
	fresh := *p
	fresh.data = p.data + ".new"
	if err := os.RemoveAll(fresh.data); err != nil {
		return fmt.Errorf("clear what an earlier start left: %w", err)
	}
	command := fresh.command("initdb", "--pgdata", fresh.data, "--username", "postgres",
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C")
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", command.Path, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	defer stop()
	if err := command.Wait(); err != nil {
		return fmt.Errorf("initialise %s: %w: %s", p.data, err, bytes.TrimSpace(output.Bytes()))
	}
	if err := os.Rename(fresh.data, p.data); err != nil {
		return fmt.Errorf("put the new database in its place: %w", err)
	}
	return nil
}

// awaitPredecessor ends a server over the same directory whose parent was
// killed, and clears its postmaster.pid away once it is gone. PostgreSQL does
// that itself only if the process id in it is free: it takes a process that
// nobody has collected yet, or a stranger with the same id, for its predecessor
// and never starts. Its check of shared memory in use stays in force.
func (p *postgres) awaitPredecessor(ctx context.Context) error {
	lock := filepath.Join(p.data, "postmaster.pid")
	content, err := os.ReadFile(lock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a server over the same data: %w", err)
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	if err != nil {
		return fmt.Errorf("read the process id in %s: %w; remove the file if no PostgreSQL runs over it", lock, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for asked := false; p.serves(pid); asked = true {
		if !asked {
			slog.Info("stopping the server that an earlier start left over the same data", "pid", pid)
			if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("stop the server %d over the same data: %w", pid, err)
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("server %d still uses %s; end it and start again", pid, p.data)
		}
	}
	if err := os.Remove(lock); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear away what a killed server left: %w", err)
	}
	return nil
}

// serves says whether a process is a PostgreSQL server over this directory,
// which is its working directory. A dead one has none.
func (p *postgres) serves(pid int) bool {
	at, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		return false
	}
	data, err := filepath.EvalSymlinks(p.data)
	return err == nil && at == data
}
