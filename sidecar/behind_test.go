package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// busyPage is the metrics page of an application that has always more to do than
// it can, a hundred requests a second; slow ones take 3 s, others 50 ms.
type busyPage struct {
	began time.Time
	slow  atomic.Bool

	mu         sync.Mutex // it may be asked again before it has answered
	fast, late float64
}

func (p *busyPage) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 100 * time.Since(p.began).Seconds()
	if grown := total - p.fast - p.late; p.slow.Load() {
		p.late += grown
	} else {
		p.fast += grown
	}
	_, _ = fmt.Fprintf(w, `# TYPE api_seconds histogram
api_seconds_bucket{le="0.1"} %[1]f
api_seconds_bucket{le="5"} %[2]f
api_seconds_bucket{le="+Inf"} %[2]f
api_seconds_sum %[2]f
api_seconds_count %[2]f
# TYPE busy gauge
busy 1
`, p.fast, p.fast+p.late)
}

// Where the database is the bottleneck it grows, and the API's count stays; once
// it isn't any more, the API grows, and the database stays. New cells of the API are paired
// with one of the databases.
func TestSharedOrOwnDatabase(t *testing.T) {
	page := &busyPage{began: time.Now()}
	page.slow.Store(true)
	h, database := newDatabaseHouse(t, page)
	_, databasePort, _ := net.SplitHostPort(database.Addr())
	connections := hold(t, database, 8)
	h.applyIn("db")
	h.apply()

	h.awaitGrowth("the database doesn't grow", func(ctx context.Context) error {
		if n := h.countOf(ctx, "db"); n < 2 {
			return fmt.Errorf("%d databases", n)
		}
		return nil
	})
	status := h.succeed("status")
	if !strings.Contains(status, "asked     by pod for 2 cells: latency is ") || !strings.Contains(status, "asks      db for 2 cells: latency is ") {
		t.Errorf("status doesn't show the request:\n%s", status)
	}
	h.awaitGrowth("the API's leader doesn't say what holds it", func(context.Context) error {
		if d := h.decision("pod"); d.Desired != 1 || d.Code != balance.CodeBehindFull || !strings.Contains(d.Reason, "db has no room") {
			return fmt.Errorf("%d, %s: %s", d.Desired, d.Code, d.Reason)
		}
		return nil
	})
	// The first database's clients are gone, as if the load had moved.
	for _, c := range connections {
		h.must(c.Close(t.Context()))
	}
	page.slow.Store(false)
	h.awaitGrowth("the API doesn't begin to grow", func(ctx context.Context) error {
		if n := h.countOf(ctx, "pod"); n < 2 {
			return fmt.Errorf("%d cells of the API", n)
		}
		return nil
	})
	grown := h.countOf(t.Context(), "db")
	h.awaitGrowth("the API doesn't grow", func(ctx context.Context) error {
		members, err := h.fleet.Members(ctx, "pod")
		if n := h.countOf(ctx, "pod"); err != nil || n < 3 || len(members) < 3 {
			return errors.Join(err, fmt.Errorf("%d cells of the API, %d registered", n, len(members)))
		}
		return nil
	})
	h.awaitGrowth("the applications aren't told of their partners", func(ctx context.Context) error {
		pairs, err := h.fleet.Pairs(ctx, "db")
		if err != nil || len(pairs) != 3 {
			return errors.Join(err, fmt.Errorf("pairs %+v", pairs))
		}
		for _, p := range pairs {
			told, err := os.ReadFile(h.partnerFile(p.Cell))
			if want := "127.0.0.1:" + databasePort; err != nil || strings.TrimSpace(string(told)) != want || p.Address != want {
				return fmt.Errorf("%s was told %q (%w), the pair is %+v, want %s", p.Cell, told, err, p, want)
			}
		}
		return nil
	})
	h.awaitGrowth("the lineage doesn't show the pairs", func(context.Context) error {
		if tree := h.succeed("status", "-lineage"); strings.Count(tree, "paired with db-") < 3 {
			return errors.New(tree)
		}
		return nil
	})
	if n := h.countOf(t.Context(), "db"); n != grown {
		t.Errorf("%d databases, before %d", n, grown)
	}
}

// newDatabaseHouse makes a service whose cells all have the page, and behind it one of
// databases, all of which are the same, real one. Neither has cells yet.
func newDatabaseHouse(t *testing.T, page *busyPage) (*house, *testkit.PostgresServer) {
	t.Helper()
	needServers(t)
	database := testkit.Postgres(t)
	_, databasePort, _ := net.SplitHostPort(database.Addr())
	metrics := httptest.NewServer(page)
	t.Cleanup(metrics.Close)
	_, metricsPort, _ := net.SplitHostPort(strings.TrimPrefix(metrics.URL, "http://"))

	build := testkit.Provider(t)
	h := newHouse(t, houseOptions{
		Max: 3, Command: []string{"sh", "-c", "echo $HOMEOSTAT_PARTNER_DB >$HOMEOSTAT_CELL.partner; exec sleep 100000"},
		Policy: fmt.Sprintf(`
  needs = ["db"]
  pair  = "db"
  lead  = []
  latency {
    histogram = "api_seconds"
    upper     = "1s"
  }
  metrics {
    port = %s
    busy = "busy"
  }
  law {
    rate_window = "2s"
    effect_time = "2s"
  }`, metricsPort),
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
    port              = %s
    sslmode           = "disable"
    connections_upper = 0.05
    probe_upper       = "1m"
  }
}`, build.CLIConfig, databasePort),
	})
	module, err := os.ReadFile(filepath.Join(h.module(), "main.tf"))
	h.must(err)
	// The database itself is the test's; its cells are there to watch it.
	text := strings.ReplaceAll(string(module), `"pod"`, `"db"`)
	h.write("db/main.tf", strings.ReplaceAll(text, ">$HOMEOSTAT_CELL.partner", ">/dev/null"))
	return h, database
}

// awaitGrowth waits for a condition, and says what it stands for if it doesn't come.
func (h *house) awaitGrowth(what string, condition func(context.Context) error) {
	h.t.Helper()
	if err := testkit.Poll(h.t.Context(), 3*time.Minute, condition); err != nil {
		h.t.Fatalf("%s: %v\n%s\n%s", what, err, h.succeed("status", "-terms"), h.logs())
	}
}

// countOf is how many cells a service's record orders, 0 without one.
func (h *house) countOf(ctx context.Context, service string) int {
	record, _, err := h.fleet.Record(ctx, service)
	if err != nil {
		return 0
	}
	return record.Count
}

// Where the API is slow by itself while its database has room, the API grows, and the
// database stays: nobody asks for one more.
func TestAPISlowByItself(t *testing.T) {
	page := &busyPage{began: time.Now()}
	page.slow.Store(true)
	h, _ := newDatabaseHouse(t, page)
	h.applyIn("db")
	h.apply()
	h.awaitGrowth("the API doesn't begin to grow", func(ctx context.Context) error {
		if n := h.countOf(ctx, "pod"); n < 2 {
			return fmt.Errorf("%d cells of the API", n)
		}
		return nil
	})
	page.slow.Store(false) // two share the work, which there is more of than they can do
	h.awaitGrowth("the API doesn't grow on", func(ctx context.Context) error {
		members, err := h.fleet.Members(ctx, "pod")
		if n := h.countOf(ctx, "pod"); err != nil || n < 3 || len(members) < 3 {
			return errors.Join(err, fmt.Errorf("%d cells of the API, %d registered", n, len(members)))
		}
		return nil
	})
	if n := h.countOf(t.Context(), "db"); n != 1 {
		t.Errorf("%d databases", n)
	}
	if status := h.succeed("status"); strings.Contains(status, "asked     by pod") {
		t.Errorf("the database is asked for:\n%s", status)
	}
	if logs := h.logs(); strings.Contains(logs, "asked another service for cells") {
		t.Errorf("the database was asked for:\n%s", logs)
	}
}

// hold holds connections to a database.
func hold(t *testing.T, database *testkit.PostgresServer, n int) []*pgx.Conn {
	t.Helper()
	var all []*pgx.Conn
	for range n {
		c, err := pgx.Connect(t.Context(), database.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
		all = append(all, c)
	}
	return all
}

// decision is the last one of a service's leader.
func (h *house) decision(service string) balance.Decision {
	h.t.Helper()
	var word struct {
		Decision balance.Decision `json:"decision"`
	}
	h.must(h.fleet.Decision(h.t.Context(), service, &word))
	return word.Decision
}

// partnerFile is what a cell's application has written of its partner, in the
// folder that it runs in.
func (h *house) partnerFile(cell string) string {
	found, err := filepath.Glob(filepath.Join(h.dir, "cells", "pod", cell, "*", cell+".partner"))
	h.must(err)
	if len(found) == 0 {
		found, err = filepath.Glob(filepath.Join(h.dir, "cells", "pod", cell, cell+".partner"))
		h.must(err)
	}
	return append(found, "none")[0]
}
