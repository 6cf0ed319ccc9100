package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Replica starts a streaming replica of p that ends with the test. It begins as
// a copy made while p is stopped, since not every set of binaries has
// pg_basebackup; p is started again.
func (p *PostgresServer) Replica(tb testing.TB) *PostgresServer {
	tb.Helper()
	if err := p.Stop(); err != nil {
		tb.Fatal(err)
	}
	replica, err := startPostgres(tb.Context(), p.binaries, PostgresOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	replica.endWith(tb)
	if err := replica.become(p); err != nil {
		tb.Fatal(err)
	}
	if err := p.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if err := replica.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return replica
}

// become replaces the server's data by that of another, and has it follow that.
func (p *PostgresServer) become(primary *PostgresServer) error {
	if err := p.Stop(); err != nil {
		return err
	}
	if err := os.RemoveAll(p.data); err != nil {
		return err
	}
	if output, err := exec.Command("cp", "-a", primary.data, p.data).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the data directory: %w\n%s", err, output)
	}
	if err := os.WriteFile(filepath.Join(p.data, "standby.signal"), nil, 0o644); err != nil {
		return err
	}
	settings, err := os.OpenFile(filepath.Join(p.data, "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(settings, "primary_conninfo = 'host=127.0.0.1 port=%d user=postgres'\n", primary.port)
	if closed := settings.Close(); err == nil {
		err = closed
	}
	return err
}
