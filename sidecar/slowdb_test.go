package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// Values of apiVariable that have the test binary be a database cell or its reader.
const (
	databaseProgram = "database"
	readerProgram   = "reader"
)

// far is how late each answer of the slow database is.
const far = 300 * time.Millisecond

// serveDatabase is the cell of a database: what comes to its port goes to a real
// PostgreSQL, for db-1 to that of the first argument, over a way on which answers are
// late; for others to that of the second.
func serveDatabase() {
	to, late := os.Args[2], time.Duration(0)
	if os.Getenv("HOMEOSTAT_CELL") == "db-1" {
		to, late = os.Args[1], far
	}
	l, err := net.Listen("tcp", net.JoinHostPort(os.Getenv("HOMEOSTAT_ADDRESS"), os.Getenv("HOMEOSTAT_PORT")))
	for err == nil {
		var from net.Conn
		if from, err = l.Accept(); err == nil {
			go carry(from, to, late)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// carry brings a connection to another address and back; what comes back is late.
func carry(from net.Conn, to string, late time.Duration) {
	defer func() { _ = from.Close() }()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(server, from) // it ends as either side does
		_ = server.Close()
	}()
	for b := make([]byte, 64<<10); ; {
		n, err := server.Read(b)
		if n > 0 {
			time.Sleep(late)
			if _, err := from.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// readers is an API's application: four that query the partner's database again and
// again, with a short rest between, and tell how long that takes.
type readers struct {
	mu      sync.Mutex
	buckets [len(readerBounds)]int
	count   int
	sum     float64
	// busy is the share of their time that they waited for answers, about the last second.
	busy float64
}

var readerBounds = [...]float64{0.01, 0.05, 0.1, 0.25, 0.5, 1}

const (
	readerCount = 4
	readerRest  = 20 * time.Millisecond
)

func serveReader() {
	r := &readers{}
	for range readerCount {
		go r.read("postgres://postgres@" + os.Getenv("HOMEOSTAT_PARTNER_DB") + "/postgres?sslmode=disable&application_name=reader")
	}
	http.Handle("/metrics", r)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(net.JoinHostPort(os.Getenv("HOMEOSTAT_ADDRESS"), os.Getenv("HOMEOSTAT_PORT")), nil))
	os.Exit(1)
}

func (r *readers) read(url string) {
	var c *pgx.Conn
	for {
		var err error
		if c == nil {
			if c, err = pgx.Connect(context.Background(), url); err != nil {
				fmt.Fprintln(os.Stderr, err)
				c = nil
				time.Sleep(readerRest)
				continue
			}
		}
		begun := time.Now()
		if _, err = c.Exec(context.Background(), "SELECT 1"); err != nil {
			_ = c.Close(context.Background())
			c = nil
			continue
		}
		r.took(time.Since(begun))
		time.Sleep(readerRest)
	}
}

func (r *readers) took(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.sum += d.Seconds()
	for i, bound := range readerBounds {
		if d.Seconds() <= bound {
			r.buckets[i]++
		}
	}
	r.busy += 0.1 * (d.Seconds()/(d+readerRest).Seconds() - r.busy)
}

func (r *readers) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = fmt.Fprintln(w, "# TYPE api_seconds histogram") // whoever asks may be gone
	for i, bound := range readerBounds {
		_, _ = fmt.Fprintf(w, "api_seconds_bucket{le=\"%g\"} %d\n", bound, r.buckets[i])
	}
	_, _ = fmt.Fprintf(w, "api_seconds_bucket{le=\"+Inf\"} %[1]d\napi_seconds_sum %[2]f\napi_seconds_count %[1]d\n# TYPE busy gauge\nbusy %[3]f\n", r.count, r.sum, r.busy)
}

// Of two real PostgreSQLs the first answers late, and that alone makes the API slow. The
// API isn't given more cells while its only database has no room; a second database is
// made; and the next cell of the API is paired with that one, reads there, and is fast.
func TestSlowDatabase(t *testing.T) {
	needServers(t)
	slow, fast := testkit.Postgres(t), testkit.Postgres(t)
	h := newReaderHouse(t, slow, fast)
	h.applyIn("db")
	h.apply()

	held := false
	h.awaitGrowth("the database doesn't grow", func(ctx context.Context) error {
		d, ok := h.decided(ctx, "pod")
		held = held || ok && d.Desired == 1 && d.Code == balance.CodeBehindFull && strings.Contains(d.Reason, "db has no room")
		if n := h.countOf(ctx, "pod"); n > 1 {
			t.Errorf("%d cells of the API while its only database is slow", n)
		}
		if n := h.countOf(ctx, "db"); n < 2 {
			return fmt.Errorf("%d databases", n)
		}
		return nil
	})
	h.awaitGrowth("the API doesn't grow with its new database", func(ctx context.Context) error {
		d, ok := h.decided(ctx, "pod")
		held = held || ok && d.Desired == 1 && d.Code == balance.CodeBehindFull && strings.Contains(d.Reason, "db has no room")
		members, err := h.fleet.Members(ctx, "pod")
		if len(members) < 2 {
			err = errors.Join(err, fmt.Errorf("%d cells of the API", len(members)))
		}
		return err
	})
	if !held {
		t.Error("the API's leader never said that its database holds it")
	}
	database, err := h.fleet.Member(t.Context(), "db", "db-2")
	h.must(err)
	h.awaitGrowth("the new cell isn't the new database's", func(ctx context.Context) error {
		pairs, err := h.fleet.Pairs(ctx, "db")
		if err != nil {
			return err
		}
		found := map[string]string{}
		for _, p := range pairs {
			found[p.Cell] = p.Partner
			if p.Partner == "db-2" && p.Address != net.JoinHostPort(database.Address, fmt.Sprint(database.Port)) {
				return fmt.Errorf("%+v, and db-2 is at %s:%d", p, database.Address, database.Port)
			}
		}
		if found["pod-1"] != "db-1" || found["pod-2"] != "db-2" {
			return fmt.Errorf("pairs %v, want pod-1 with db-1 and pod-2 with db-2", found)
		}
		return nil
	})
	h.awaitGrowth("the new cell doesn't read in the new database", func(ctx context.Context) error {
		c, err := pgx.Connect(ctx, fast.URL("postgres"))
		if err != nil {
			return err
		}
		defer func() { _ = c.Close(ctx) }()
		var n int
		if err := c.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader'").Scan(&n); err != nil || n < readerCount {
			return errors.Join(err, fmt.Errorf("%d readers", n))
		}
		return nil
	})
}

// newReaderHouse makes a service of readers, and behind it one of databases: the first
// cell's is slow, the others' fast. Neither has cells yet.
func newReaderHouse(t *testing.T, slow, fast *testkit.PostgresServer) *house {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	build := testkit.Provider(t)
	h := newHouse(t, houseOptions{
		Max: 3, Command: []string{"env", apiVariable + "=" + readerProgram, self},
		Policy: `
  needs = ["db"]
  pair  = "db"
  lead  = []
  latency {
    histogram = "api_seconds"
    upper     = "100ms"
  }
  metrics { busy = "busy" }
  law {
    rate_window = "2s"
    effect_time = "2s"
  }`,
		Above: fmt.Sprintf(`
service "db" {
  min        = 1
  max        = 3
  beat       = "500ms"
  lead       = []
  holds_data = true
  terraform {
    dir          = "db"
    lock_timeout = "2s"
    env          = { TF_CLI_CONFIG_FILE = %q }
  }
  drain { command = ["false"] }
  postgres {
    sslmode     = "disable"
    probe_upper = "100ms"
  }
}`, build.CLIConfig),
	})
	module, err := os.ReadFile(filepath.Join(h.module(), "main.tf"))
	h.must(err)
	command, err := json.Marshal([]string{h.program, "run", "-policy", h.policy(), "--", "env", apiVariable + "=" + readerProgram, self})
	h.must(err)
	database, err := json.Marshal([]string{h.program, "run", "-policy", h.policy(), "--", "env", apiVariable + "=" + databaseProgram, self, slow.Addr(), fast.Addr()})
	h.must(err)
	text := strings.ReplaceAll(string(module), `"pod"`, `"db"`)
	if !strings.Contains(text, string(command)) {
		t.Fatalf("the module doesn't have the command %s:\n%s", command, text)
	}
	h.write("db/main.tf", strings.Replace(text, string(command), string(database), 1))
	return h
}

// decided is the last decision of a service's leader; false for none yet.
func (h *house) decided(ctx context.Context, service string) (balance.Decision, bool) {
	var word struct {
		Decision balance.Decision `json:"decision"`
	}
	err := h.fleet.Decision(ctx, service, &word)
	return word.Decision, err == nil
}
