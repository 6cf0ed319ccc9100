package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

func execute(t *testing.T, p *PostgresServer, statement string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	if _, err := connection.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func count(t *testing.T, p *PostgresServer, query string) (n int) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	if err := connection.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestPostgresKeepsRowsThroughKillAndLosesThemWhenWiped(t *testing.T) {
	short(t)
	p := Postgres(t)
	execute(t, p, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, p, "SELECT count(*) FROM kept"); got != 1000 {
		t.Errorf("after kill and start the table has %d rows, want 1000", got)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, p, "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'"); got != 0 {
		t.Error("after a wipe the table is still there")
	}
}

func TestPostgresKilledLeavesNoneOfItsProcesses(t *testing.T) {
	short(t)
	p := Postgres(t)
	connection, err := pgx.Connect(t.Context(), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	processes := append(family(p.PID()), p.PID())
	if len(processes) < 3 {
		t.Fatalf("postgres has the processes %v only", processes)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range processes {
		if state := processState(t, pid); state != "" && state != "Z" {
			t.Errorf("process %d is left in state %s", pid, state)
		}
	}
}

func TestPostgresNeverRunsAsRoot(t *testing.T) {
	short(t)
	p := SharedPostgres(t)
	info, err := os.Stat(filepath.Join("/proc", itoa(p.PID())))
	if err != nil {
		t.Fatal(err)
	}
	if uid := owner(info); uid == 0 {
		t.Error("postgres runs as root")
	}
}

func TestEmbeddedPostgresIsWhatOtherwiseIsFound(t *testing.T) {
	short(t)
	dir, err := embeddedPostgres(t.Context())
	if err != nil {
		NotRun(t, "the download of PostgreSQL", err.Error())
	}
	p, err := startPostgres(t.Context(), dir, PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.endWith(t)
	if got := count(t, p, "SELECT 42"); got != 42 {
		t.Errorf("SELECT 42 gives %d", got)
	}
	if output, err := exec.CommandContext(t.Context(), filepath.Join(dir, "postgres"), "--version").CombinedOutput(); err != nil {
		t.Errorf("postgres --version: %v\n%s", err, output)
	}
}
