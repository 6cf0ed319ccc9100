// Command db is the program of the database cell: PostgreSQL in the foreground,
// over the cell's data directory and on the port that the sidecar has picked.
//
// An empty directory is initialised. A directory that a killed server left is
// recovered by PostgreSQL itself, from its log. SIGTERM is a fast shutdown:
// clients are cut off and nothing that was committed is lost.
//
// "db move" is the drain command of such a cell: it moves all rows into another
// database, and then nobody may write to this one any more.
//
// It listens on loopback only and trusts whoever connects, without a password:
// good for an example on one machine, and for nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func main() {
	// Linux ties a parent-death signal to the thread that started the child.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		moveOrExit(ctx, os.Args[1:])
		return
	}
	if err := run(ctx, os.Getenv); err != nil {
		slog.Error("the database has ended", "error", err)
		os.Exit(1)
	}
}

// moveOrExit is the second thing that this program does. What it writes last is shown
// where the cell is looked at.
func moveOrExit(ctx context.Context, arguments []string) {
	err := fmt.Errorf("there is only the command move, not %q", arguments)
	if len(arguments) == 1 && arguments[0] == "move" {
		err = move(ctx, os.Getenv)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string) error {
	directory, port := getenv("HOMEOSTAT_DATA_DIRECTORY"), getenv("HOMEOSTAT_PORT")
	if directory == "" {
		return errors.New("no data directory: HOMEOSTAT_DATA_DIRECTORY is empty; set data_directory on the cell")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("read HOMEOSTAT_PORT: %w", err)
	}
	programs, err := testkit.PostgresBinaries(ctx)
	if err != nil {
		return fmt.Errorf("find PostgreSQL: %w", err)
	}
	account, err := unprivileged()
	if err != nil {
		return err
	}
	server := &postgres{programs: programs, account: account, data: filepath.Join(directory, "postgresql"), port: port}
	if err := server.prepare(ctx, directory); err != nil {
		return err
	}
	return server.serve(ctx)
}

// postgres is a server over one data directory.
type postgres struct {
	programs string // folder of initdb and postgres
	account  *account
	data     string
	port     string
}

// serve runs the server until it ends, or ctx does.
func (p *postgres) serve(ctx context.Context) error {
	command := p.command("postgres", "-D", p.data, "-p", p.port,
		"-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=",
		"-c", "max_connections=60",
		"-c", "shared_buffers=64MB",
	)
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", command.Path, err)
	}
	slog.Info("serving", "port", p.port, "data", p.data, "pid", command.Process.Pid)
	ended := make(chan struct{})
	var outcome error
	go func() {
		defer close(ended)
		outcome = command.Wait()
	}()
	select {
	case <-ended:
		if outcome == nil {
			return errors.New("PostgreSQL ended by itself")
		}
		return fmt.Errorf("PostgreSQL ended by itself: %w", outcome)
	case <-ctx.Done():
	}
	// To PostgreSQL SIGTERM means to wait for every client to leave; SIGINT is
	// the fast shutdown, SIGQUIT the one that recovers at the next start.
	for _, step := range []struct {
		signal syscall.Signal
		limit  time.Duration
	}{{syscall.SIGINT, 20 * time.Second}, {syscall.SIGQUIT, 10 * time.Second}, {syscall.SIGKILL, 5 * time.Second}} {
		if err := command.Process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop PostgreSQL: %w", err)
		}
		select {
		case <-ended: // how it ended says nothing more here
			return nil
		case <-time.After(step.limit):
			slog.Warn("PostgreSQL does not end", "signal", step.signal, "after", step.limit)
		}
	}
	return errors.New("PostgreSQL can't be stopped")
}

// command is one of PostgreSQL's programs, as the unprivileged account, which
// must not outlive this one: its successor could not take the directory over.
func (p *postgres) command(name string, arguments ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(p.programs, name), arguments...)
	command.Dir = filepath.Dir(p.data)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Credential: p.account.credential()}
	return command
}
