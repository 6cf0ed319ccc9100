package sense

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func needServers(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts PostgreSQL")
	}
}

// watched is a PostgreSQL and who looks at it.
type watched struct {
	*testkit.PostgresServer
	t *testing.T
	*Postgres
}

func watch(t *testing.T, server *testkit.PostgresServer, change func(*PostgresConfig)) *watched {
	t.Helper()
	host, port, _ := net.SplitHostPort(server.Addr())
	cfg := PostgresConfig{
		Host: host, Database: "postgres", User: "postgres", SSLMode: "disable", Timeout: 10 * time.Second,
		Bounds: DatabaseBounds{Share: 0.8, Probe: time.Minute},
	}
	cfg.Port, _ = strconv.Atoi(port)
	if change != nil {
		change(&cfg)
	}
	p, err := NewPostgres(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &watched{PostgresServer: server, t: t, Postgres: p}
}

func (w *watched) connect(user string) *pgx.Conn {
	w.t.Helper()
	url := strings.Replace(w.URL("postgres"), "postgres@", user+"@", 1)
	conn, err := pgx.Connect(w.t.Context(), url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(w.t.Context())) })
	return conn
}

func (w *watched) execute(conn *pgx.Conn, statement string) {
	w.t.Helper()
	if _, err := conn.Exec(w.t.Context(), statement); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

func known(t *testing.T, what string, r reading.Reading, want float64) {
	t.Helper()
	if !r.Known || r.Value != want {
		t.Errorf("%s is %v, want %g", what, r, want)
	}
}

func TestPostgresCountsSessions(t *testing.T) {
	needServers(t)
	leavesNothing(t)
	w := watch(t, testkit.Postgres(t), nil)
	holder, waiter := w.connect("postgres"), w.connect("postgres")
	w.execute(holder, "create table rows (n int)")
	w.execute(holder, "begin; lock table rows")
	blocked := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(context.WithoutCancel(t.Context()), "select * from rows")
		blocked <- err
	}()
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		d := w.Look(ctx)
		if !d.Waiting.Known || d.Waiting.Value != 1 || d.Active.Value != 1 {
			return fmt.Errorf("active %v, waiting %v", d.Active, d.Waiting)
		}
		return nil
	})
	d := w.Look(t.Context())
	known(t, "connections", d.Connections, 3)
	known(t, "limit", d.Limit, 97) // 100 less 3 for superusers
	known(t, "share", d.Share, 3./97)
	if !d.Room.Known || d.Room.Value < 0.9 || !d.Fresh.Known || d.Fresh.Value <= 0 || d.Probe.Value <= 0 {
		t.Errorf("room %v (%s), fresh %v, probe %v", d.Room, d.Cause, d.Fresh, d.Probe)
	}
	if d.Replication.Known || !strings.Contains(d.Replication.Reason, "no replica") {
		t.Errorf("replication %v", d.Replication)
	}
	w.execute(holder, "rollback")
	if err := <-blocked; err != nil {
		t.Error(err)
	}
}

// A database that refuses who looks at it has no room: that is known.
func TestPostgresFull(t *testing.T) {
	needServers(t)
	leavesNothing(t)
	server := testkit.Postgres(t)
	w := watch(t, server, func(c *PostgresConfig) { c.User = "app" })
	first := w.connect("postgres")
	w.execute(first, "create role app login")
	w.execute(first, "alter system set max_connections = 8")
	if err := errors.Join(first.Close(t.Context()), server.Stop(), server.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
	for range 5 { // 8 less the 3 that are kept for superusers
		w.connect("app")
	}
	d := w.Look(t.Context())
	known(t, "share", d.Share, 1)
	known(t, "room", d.Room, 0)
	if d.Probe.Known || !strings.Contains(d.Probe.Reason, "53300") {
		t.Errorf("probe %v", d.Probe)
	}
}

func TestPostgresWatchedByAStranger(t *testing.T) {
	needServers(t)
	leavesNothing(t)
	w := watch(t, testkit.Postgres(t), func(c *PostgresConfig) { c.User = "app" })
	root := w.connect("postgres")
	w.execute(root, "create role app login")
	d := w.Look(t.Context())
	if d.Active.Known || !strings.Contains(d.Active.Reason, "pg_read_all_stats") {
		t.Errorf("active %v", d.Active)
	}
	if !d.Connections.Known || d.Connections.Value < 2 || !d.Room.Known {
		t.Errorf("connections %v, room %v", d.Connections, d.Room)
	}
	w.execute(root, "grant pg_read_all_stats to app")
	known(t, "connections", w.Look(t.Context()).Connections, 2)
}

// However often it looks and makes its connection anew, there is never a second.
func TestPostgresHasOneConnection(t *testing.T) {
	needServers(t)
	leavesNothing(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w := watch(t, testkit.Postgres(t), func(c *PostgresConfig) { c.Now, c.Fresh = func() time.Time { return now }, time.Minute })
	conn := w.connect("postgres")
	pids := map[int]bool{}
	for range 12 {
		now = now.Add(20 * time.Second)
		if d := w.Look(t.Context()); !d.Room.Known {
			t.Fatalf("room %v", d.Room)
		}
		var n, pid int
		// The server ends what serves a connection a moment after that was closed.
		testkit.Await(t, 30*time.Second, func(ctx context.Context) error {
			err := conn.QueryRow(ctx, "select count(*), min(pid) from pg_stat_activity where application_name = 'homeostat'").Scan(&n, &pid)
			if err == nil && n != 1 {
				err = fmt.Errorf("%d connections", n)
			}
			return err
		})
		pids[pid] = true
	}
	if len(pids) != 4 {
		t.Errorf("%d connections in four minutes, want one a minute", len(pids))
	}
}

func TestPostgresPausedAndKilled(t *testing.T) {
	needServers(t)
	leavesNothing(t)
	server := testkit.Postgres(t)
	w := watch(t, server, func(c *PostgresConfig) { c.Timeout = time.Second })
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		if d := w.Look(ctx); !d.Room.Known {
			return errors.New(d.Room.Reason)
		}
		return nil
	})
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	gone := func(what string) {
		if d := w.Look(t.Context()); d.Room.Known || d.Share.Known || d.Room.Reason == "" {
			t.Errorf("of a server that was %s: room %v, share %v", what, d.Room, d.Share)
		}
	}
	gone("paused")
	if err := errors.Join(server.Continue(), server.Kill()); err != nil {
		t.Fatal(err)
	}
	gone("killed")
	gone("killed")
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		if d := w.Look(ctx); !d.Room.Known {
			return errors.New(d.Room.Reason)
		}
		return nil
	})
}

func TestPostgresReplica(t *testing.T) {
	needServers(t)
	leavesNothing(t)
	server := testkit.Postgres(t)
	replica := server.Replica(t)
	primary, standby := watch(t, server, nil), watch(t, replica, nil)
	conn := primary.connect("postgres")
	primary.execute(conn, "create table rows as select 1")
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		a, b := primary.Look(ctx), standby.Look(ctx)
		if !a.Replication.Known || !b.Replication.Known {
			return fmt.Errorf("primary: %v, replica: %v", a.Replication, b.Replication)
		}
		return nil
	})
}

// The error says where and why, and never the password.
func TestPostgresPassword(t *testing.T) {
	w := watchNothing(t, func() (string, error) { return "tell-nobody", nil })
	if d := w.Look(t.Context()); d.Room.Known || strings.Contains(d.Room.Reason, "tell-nobody") {
		t.Errorf("room %v", d.Room)
	}
	w = watchNothing(t, func() (string, error) { return "", errors.New("the environment has no DB_PASSWORD") })
	if d := w.Look(t.Context()); !strings.Contains(d.Room.Reason, "DB_PASSWORD") {
		t.Errorf("room %v", d.Room)
	}
}

func watchNothing(t *testing.T, password func() (string, error)) *Postgres {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, err := strconv.Atoi(text)
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	p, err := NewPostgres(PostgresConfig{Host: "127.0.0.1", Port: port, Database: "a b'c", User: "app", SSLMode: "disable", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRoomOfADatabase(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	unknown := reading.Unknown("away")
	of := func(v float64) reading.Reading { return reading.Of(v, at) }
	for _, c := range []struct {
		name         string
		share, probe reading.Reading
		want         reading.Reading
	}{
		{"the bound nearest to its end counts", of(0.4), of(0.001), of(0.5)},
		{"the probe too", of(0.1), of(0.008), of(0.2)},
		{"past a bound there is none", of(0.9), of(0), of(0)},
		{"one bound passed is enough", unknown, of(0.011), of(0)},
		{"one within its bound is not", of(0.1), unknown, reading.Unknown("probe: away")},
		{"nothing known", unknown, unknown, reading.Unknown("probe: away")},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Database{Share: c.share, Probe: c.probe}
			d.judge(DatabaseBounds{Share: 0.8, Probe: 10 * time.Millisecond})
			if d.Room.Known != c.want.Known || d.Room.Reason != c.want.Reason || d.Room.Value-c.want.Value > 1e-9 || c.want.Value-d.Room.Value > 1e-9 {
				t.Errorf("room %v, want %v", d.Room, c.want)
			}
		})
	}
}

func TestVitalsOfADatabaseTravel(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := UnknownDatabase(reading.Unknown("away"))
	d.Room = reading.Of(0.25, at)
	text, err := json.Marshal(Vitals{Cell: "db-1", Incarnation: "x", Database: d, Age: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	v, err := DecodeVitals(bytes.NewReader(text), at.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if v.Database == nil || v.Database.Room != reading.Of(0.25, at.Add(59*time.Second)) {
		t.Errorf("database %+v", v.Database)
	}
	d.Room.Value = 1.5
	text, _ = json.Marshal(Vitals{Cell: "db-1", Incarnation: "x", Database: d})
	if _, err := DecodeVitals(bytes.NewReader(text), at); err == nil {
		t.Error("a room of 1.5 was believed")
	}
}
