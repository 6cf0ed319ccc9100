package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestMain lets the test binary be the program, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_DB") == "1" {
		runtime.LockOSThread()
		main()
		return
	}
	testkit.Main(m)
}

// dataDirectory is one that another account may enter.
func dataDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "db-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(directory, "db-1")
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// start runs the program as a sidecar would, in a group of its own.
func start(t *testing.T, directory, port string) *exec.Cmd {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), "RUN_DB=1", "HOMEOSTAT_DATA_DIRECTORY="+directory, "HOMEOSTAT_PORT="+port)
	command.Stdout, command.Stderr = t.Output(), t.Output()
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		_ = command.Wait()
	})
	return command
}

// connect waits for the server to take queries.
func connect(t *testing.T, port string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable", port))
		if err == nil {
			t.Cleanup(func() { _ = conn.Close(context.Background()) })
			return conn
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("PostgreSQL takes no queries: %v", err)
		}
	}
}

func execute(t *testing.T, conn *pgx.Conn, sql string, arguments ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, arguments...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func wantRows(t *testing.T, conn *pgx.Conn, want int) {
	t.Helper()
	var rows int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&rows); err != nil || rows != want {
		t.Fatalf("rows = %d, %v; want %d", rows, err, want)
	}
}

func TestDataSurvives(t *testing.T) {
	if testing.Short() {
		t.Skip("starts PostgreSQL")
	}
	directory := dataDirectory(t)
	endings := []struct {
		name string
		end  func(*testing.T, *exec.Cmd)
	}{
		{"SIGTERM", func(t *testing.T, command *exec.Cmd) {
			if err := command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := command.Wait(); err != nil {
				t.Fatalf("after SIGTERM: %v", err)
			}
		}},
		{"kill -9 of the whole cell", func(t *testing.T, command *exec.Cmd) {
			if err := syscall.Kill(-command.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = command.Wait()
		}},
		{"kill -9 of the program alone", func(t *testing.T, command *exec.Cmd) {
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = command.Wait()
		}},
		{"nothing", func(*testing.T, *exec.Cmd) {}},
	}
	for i, ending := range endings {
		// Each start has another port, as a reborn cell has.
		port := freePort(t)
		command := start(t, directory, port)
		conn := connect(t, port)
		if i == 0 {
			execute(t, conn, "CREATE TABLE kept (n int)")
		}
		wantRows(t, conn, i)
		execute(t, conn, "INSERT INTO kept VALUES ($1)", i)
		t.Logf("ending by %s", ending.name)
		ending.end(t, command)
	}
}

func TestHalfInitialisedIsBegunAnew(t *testing.T) {
	if testing.Short() {
		t.Skip("starts PostgreSQL")
	}
	directory := dataDirectory(t)
	half := filepath.Join(directory, "postgresql.new")
	if err := os.MkdirAll(half, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	start(t, directory, port)
	execute(t, connect(t, port), "SELECT 1")
	if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", half, err)
	}
}

func TestBadEnvironment(t *testing.T) {
	cases := map[string]struct{ directory, port, want string }{
		"no directory": {"", "5432", "HOMEOSTAT_DATA_DIRECTORY is empty"},
		"no port":      {"/nowhere", "", "HOMEOSTAT_PORT"},
		"port too big": {"/nowhere", "70000", "HOMEOSTAT_PORT"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"HOMEOSTAT_DATA_DIRECTORY": c.directory, "HOMEOSTAT_PORT": c.port}
			err := run(t.Context(), func(key string) string { return env[key] })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("run = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestFolderThatTheAccountMayNotEnter(t *testing.T) {
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	other := &account{uid: 65534, gid: 65534}
	if err := other.reaches(filepath.Join(closed, "data")); err == nil || !strings.Contains(err.Error(), "may not enter") {
		t.Errorf("reaches = %v", err)
	}
}
