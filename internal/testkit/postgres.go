package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PostgresOptions says which PostgreSQL to start. The zero value is an empty
// one in a directory of its own.
type PostgresOptions struct {
	Directory string // "": a temporary one
	Port      int    // 0: a free one
	// follows is the stopped server of which it is to be a replica; nil for none.
	follows *PostgresServer
}

// PostgresServer is one PostgreSQL on loopback with the superuser postgres, who
// needs no password. What was committed survives Stop and Kill.
type PostgresServer struct {
	server
	binaries string
	port     int
	account  *syscall.Credential
	follows  *PostgresServer
}

// Postgres starts a PostgreSQL that ends with the test.
func Postgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	binaries := needPostgres(tb)
	p, err := startPostgres(tb.Context(), binaries, PostgresOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	p.endWith(tb)
	return p
}

var sharedPostgres shared[*PostgresServer]

// SharedPostgres returns the one PostgreSQL of this test process. A test makes
// a database or schema of its own and never stops it.
func SharedPostgres(tb testing.TB) *PostgresServer {
	tb.Helper()
	binaries := needPostgres(tb)
	p, err := sharedPostgres.get(func(ctx context.Context) (*PostgresServer, error) {
		return startPostgres(ctx, binaries, PostgresOptions{})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func needPostgres(tb testing.TB) string {
	tb.Helper()
	binaries, err := PostgresBinaries(tb.Context())
	if err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	return binaries
}

func startPostgres(ctx context.Context, binaries string, options PostgresOptions) (*PostgresServer, error) {
	account, err := postgresAccount()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	p := &PostgresServer{binaries: binaries, port: options.Port, account: account, follows: options.follows}
	if p.port == 0 {
		p.port = ports[0]
	}
	// SIGINT is PostgreSQL's fast shutdown; on SIGTERM it waits for its clients.
	p.server = server{name: "postgres", stopWith: syscall.SIGINT, ports: ports, ready: p.isReady, prepare: p.initialize}
	if err := p.place(options.Directory); err != nil {
		return nil, err
	}
	p.data = filepath.Join(p.directory, "postgres")
	p.program = func() program {
		return program{command: p.command(), directory: p.directory, credential: account}
	}
	if err := p.Start(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *PostgresServer) command() []string {
	return []string{
		filepath.Join(p.binaries, "postgres"), "-D", p.data,
		"-c", "listen_addresses=127.0.0.1",
		"-c", "port=" + strconv.Itoa(p.port),
		"-c", "unix_socket_directories=",
		"-c", "shared_buffers=16MB",
		// What was committed survives the end of the process without it; only
		// the end of the machine would lose it.
		"-c", "fsync=off",
	}
}

// initialize makes the data directory if it isn't there.
func (p *PostgresServer) initialize(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(p.data, "PG_VERSION")); err == nil {
		return nil
	}
	if p.follows != nil {
		return p.become(ctx, p.follows)
	}
	if err := os.MkdirAll(p.data, 0o700); err != nil {
		return err
	}
	if p.account != nil {
		if err := os.Chown(p.data, int(p.account.Uid), int(p.account.Gid)); err != nil {
			return err
		}
		if !mayEnter(*p.account, p.data) {
			return fmt.Errorf("uid %d, which runs PostgreSQL instead of root, may not enter %s: use a directory that others may pass through", p.account.Uid, p.data)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(p.binaries, "initdb"), "-D", p.data,
		"--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir = p.directory
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run initdb: %w\n%s", err, output)
	}
	return nil
}

// Addr is the address of the server, host:port.
func (p *PostgresServer) Addr() string { return loopback(p.port) }

// URL is the connection string for a database of the server; "postgres" always
// exists.
func (p *PostgresServer) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", p.Addr(), database)
}

func (p *PostgresServer) isReady(ctx context.Context) error {
	connection, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	return errors.Join(connection.Ping(ctx), connection.Close(ctx))
}
