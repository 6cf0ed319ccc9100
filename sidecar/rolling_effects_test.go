package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/beside"
)

// web serves a page at every address, and knows who fetched it how often.
type web struct {
	*httptest.Server

	mu      sync.Mutex
	fetched map[string]int  // by address
	seen    map[string]bool // who fetched since they were last asked for
}

func newWeb(t *testing.T, address string) *web {
	t.Helper()
	w := &web{fetched: map[string]int{}, seen: map[string]bool{}}
	w.Server = serverAt(t, address, func(answer http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.fetched[w.URL+r.URL.Path]++
		w.seen[r.UserAgent()] = true
		w.mu.Unlock()
		answer.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(answer, "<title>%s</title>", r.URL.Path)
	})
	return w
}

// serverAt serves at an address of this host until the test ends.
func serverAt(t *testing.T, address string, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close() // the one it came with
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// agents are who has fetched a page since the last call.
func (w *web) agents() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Sorted(maps.Keys(w.seen))
	clear(w.seen)
	return all
}

// again is how often one of the pages was fetched that had been before.
func (w *web) again(pages map[string]time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for page := range pages {
		n += max(0, w.fetched[page]-1)
	}
	return n
}

// pages are what the API has stored, by a record of its own that the database
// keeps: a row for each time that a page became one, whatever the API's tables
// would allow.
type pages struct {
	t        *testing.T
	lists    string // base URL of what lists the API's only cell
	database string
}

const keepRecord = `
CREATE TABLE effects (url text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE FUNCTION effect() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO effects (url) VALUES (NEW.url); RETURN NULL; END';
CREATE TRIGGER effect AFTER INSERT OR UPDATE ON pages FOR EACH ROW EXECUTE FUNCTION effect();
`

// newPages starts a database and an API over it.
func newPages(t *testing.T, address, program string, kafka *testkit.KafkaServer) *pages {
	t.Helper()
	postgres := testkit.Postgres(t)
	port := testkit.FreePort(t)
	api := "http://" + net.JoinHostPort(address, fmt.Sprint(port))
	lists := serverAt(t, address, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"service": path.Base(r.URL.Path), "cells": []map[string]any{{"url": api, "health": fleet.Passing}},
		})
	})
	p := &pages{t: t, lists: lists.URL, database: postgres.URL("postgres")}
	sidecar := beside.Sidecar(t, beside.Options{Brokers: []string{kafka.Addr()}, Topic: "found"})
	cmd := exec.Command(program, "-brokers", kafka.Addr(), "-topic", "found", "-database", postgres.Addr(), "-sidecar", sidecar)
	cmd.Env = append(os.Environ(), "HOMEOSTAT_ADDRESS="+address, fmt.Sprintf("HOMEOSTAT_PORT=%d", port))
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
		_ = cmd.Wait()
	})
	testkit.Await(t, patience, func(ctx context.Context) error {
		return p.query(ctx, func(db *pgx.Conn) error {
			_, err := db.Exec(ctx, keepRecord)
			return err
		})
	})
	return p
}

func (p *pages) query(ctx context.Context, with func(*pgx.Conn) error) error {
	db, err := pgx.Connect(ctx, p.database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }() // what it was asked is answered
	return with(db)
}

// stored is when each page became one, which is more than once for none.
func (p *pages) stored(ctx context.Context) (map[string][]time.Time, error) {
	all := map[string][]time.Time{}
	err := p.query(ctx, func(db *pgx.Conn) error {
		rows, err := db.Query(ctx, "SELECT url, at FROM effects ORDER BY at")
		if err != nil {
			return err
		}
		var url string
		var at time.Time
		_, err = pgx.ForEachRow(rows, []any{&url, &at}, func() error {
			all[url] = append(all[url], at)
			return nil
		})
		return err
	})
	return all, err
}

// judge waits until the messages that were sent since an instant have had their
// effect, and says what became of them.
func (c *crawling) judge(since time.Time) string {
	c.t.Helper()
	messages := c.load.messages(since)
	var stored map[string][]time.Time
	missing := func() (n int) {
		for page := range messages {
			if len(stored[page]) == 0 {
				n++
			}
		}
		return n
	}
	err := testkit.Poll(c.t.Context(), patience, func(ctx context.Context) (err error) {
		if stored, err = c.pages.stored(ctx); err == nil && missing() > 0 {
			err = fmt.Errorf("%d pages are missing", missing())
		}
		return err
	})
	twice, waits := 0, []time.Duration{}
	for page, at := range messages {
		if len(stored[page]) > 1 {
			twice++
		}
		if len(stored[page]) > 0 {
			waits = append(waits, stored[page][0].Sub(at))
		}
	}
	if err != nil || twice > 0 {
		c.t.Errorf("of %d messages %d had no effect and %d a second one: %v", len(messages), missing(), twice, err)
	}
	slices.Sort(waits)
	at := func(share float64) time.Duration {
		if len(waits) == 0 {
			return 0
		}
		return waits[int(share*float64(len(waits)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("messages=%d lost=%d twice=%d redelivered=%d wait_p50=%v wait_p99=%v wait_max=%v gap_max=%v",
		len(messages), missing(), twice, c.web.again(messages), at(0.5), at(0.99), at(1), longestGap(stored, since).Round(time.Millisecond))
}

// longestGap is the longest time in which no page was stored.
func longestGap(stored map[string][]time.Time, since time.Time) (longest time.Duration) {
	var all []time.Time
	for _, at := range stored {
		all = append(all, at...)
	}
	slices.SortFunc(all, time.Time.Compare)
	for _, at := range all {
		if at.After(since) {
			longest, since = max(longest, at.Sub(since)), at
		}
	}
	return longest
}

// buildCrawling builds the programs of the search engine that are needed.
func buildCrawling(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	root, err := testkit.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", folder, "./crawler", "./api")
	cmd.Dir = filepath.Join(root, "examples", "search-engine")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the search engine: %v\n%s", err, output)
	}
	return folder
}
