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
	began      time.Time
	slow       atomic.Bool
	fast, late float64
}

func (p *busyPage) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
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

// Where the database is the bottleneck it grows, and the API's count stays; where
// it isn't, the API grows, and the database stays. New cells of the API are paired
// with one of the databases.
func TestSharedOrOwnDatabase(t *testing.T) {
	needServers(t)
	database := testkit.Postgres(t)
	_, databasePort, _ := net.SplitHostPort(database.Addr())
	page := &busyPage{began: time.Now()}
	page.slow.Store(true)
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
	connections := hold(t, database, 8)
	h.applyIn("db")
	h.apply()

	await := func(what string, condition func(context.Context) error) {
		t.Helper()
		if err := testkit.Poll(t.Context(), 3*time.Minute, condition); err != nil {
			t.Fatalf("%s: %v\n%s\n%s", what, err, h.succeed("status", "-terms"), h.logs())
		}
	}
	count := func(ctx context.Context, service string) int {
		record, _, err := h.fleet.Record(ctx, service)
		if err != nil {
			return 0
		}
		return record.Count
	}
	await("the database doesn't grow", func(ctx context.Context) error {
		if n := count(ctx, "db"); n < 2 {
			return fmt.Errorf("%d databases", n)
		}
		return nil
	})
	status := h.succeed("status")
	if !strings.Contains(status, "asked     by pod for 2 cells: latency is ") || !strings.Contains(status, "asks      db for 2 cells: latency is ") {
		t.Errorf("status doesn't show the request:\n%s", status)
	}
	await("the API's leader doesn't say what holds it", func(context.Context) error {
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
	await("the API doesn't begin to grow", func(ctx context.Context) error {
		if n := count(ctx, "pod"); n < 2 {
			return fmt.Errorf("%d cells of the API", n)
		}
		return nil
	})
	grown := count(t.Context(), "db")
	await("the API doesn't grow", func(ctx context.Context) error {
		members, err := h.fleet.Members(ctx, "pod")
		if n := count(ctx, "pod"); err != nil || n < 3 || len(members) < 3 {
			return errors.Join(err, fmt.Errorf("%d cells of the API, %d registered", n, len(members)))
		}
		return nil
	})
	await("the applications aren't told of their partners", func(ctx context.Context) error {
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
	await("the lineage doesn't show the pairs", func(context.Context) error {
		if tree := h.succeed("status", "-lineage"); strings.Count(tree, "paired with db-") < 3 {
			return errors.New(tree)
		}
		return nil
	})
	if n := count(t.Context(), "db"); n != grown {
		t.Errorf("%d databases, before %d", n, grown)
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
