package testkit

import (
	"context"
	"errors"
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
	replica, err := startPostgres(tb.Context(), p.binaries, PostgresOptions{follows: p})
	if err != nil {
		tb.Fatal(err)
	}
	replica.endWith(tb)
	if err := p.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return replica
}

// become makes the server's data from those of another, which it follows.
func (p *PostgresServer) become(ctx context.Context, primary *PostgresServer) error {
	if output, err := exec.CommandContext(ctx, "cp", "-a", primary.data, p.data).CombinedOutput(); err != nil {
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
	return errors.Join(err, settings.Close())
}
