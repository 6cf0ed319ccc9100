package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// One that looked for the tables before another made them, and waited for it,
// must not make them again.
func TestTablesAreMadeOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs PostgreSQL")
	}
	server := testkit.Postgres(t)
	first, second := connect(t, server), connect(t, server)
	exec(t, first, "SELECT pg_advisory_lock($1)", tablesLock)
	done := make(chan error, 1)
	go func() { done <- prepare(t.Context(), second) }()
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		var waits bool
		err := first.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").Scan(&waits)
		if err == nil && !waits {
			err = errors.New("the second doesn't wait yet")
		}
		return err
	})
	exec(t, first, schema)
	exec(t, first, "SELECT pg_advisory_unlock($1)", tablesLock)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// And the lock is free again.
	if err := prepare(t.Context(), connect(t, server)); err != nil {
		t.Error(err)
	}
	exec(t, first, "SELECT pg_advisory_lock($1)", tablesLock)
}

func connect(t *testing.T, server *testkit.PostgresServer) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}
