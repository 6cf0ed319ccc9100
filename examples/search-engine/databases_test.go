package searchengine

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// Each API writes to its own database, and all of it is one search engine. A
// database that leaves moves what it has; an API whose own it was writes elsewhere.
func TestManyDatabases(t *testing.T) {
	c := newCrawl(t, 40)
	c.startBroker(t)
	first, second := c.start(t, "db", "db-1"), c.start(t, "db", "db-2")
	c.start(t, "api", "api-1")
	api := c.startBeside(t, c.sidecar(t, "db-2"), "api", "api-2")
	to := "http://" + api.address
	c.replyTo.Store(&to) // or all pages would go to the first of the list
	c.crawler(t, "crawler-1", "-page-cost", "1ms")
	c.seed(t)
	c.atLeast(t, 20)
	c.replyTo.Store(nil)
	c.crawler(t, "crawler-2", "-page-cost", "1ms")
	c.wantExact(t)
	for _, db := range []*cell{first, second} {
		if pages := pagesOf(t, db); pages == 0 {
			t.Errorf("%s has no pages", db.id)
		}
	}
	search := func() string {
		t.Helper()
		hits, err := api.get(t.Context(), http.MethodGet, "/search?q=word7")
		if err != nil || !strings.Contains(hits, "p7.html") || strings.Contains(hits, "p8.html") {
			t.Errorf("search for word7: %s, %v", hits, err)
		}
		return hits
	}
	before := search()

	if err := c.move(t, second); err != nil {
		t.Fatal(err)
	}
	if pages := pagesOf(t, second); pages != 0 {
		t.Errorf("%d pages are left in the database that leaves", pages)
	}
	if after := search(); after != before {
		t.Errorf("before the move a search found\n%s and after it\n%s", before, after)
	}
	c.wantExact(t)
	// What is found now goes to the other one, and still to the queue.
	page := fmt.Sprintf(`{"url":%q,"status":200,"title":"New","links":[%q]}`, c.scope+"new.html", c.scope+"newer.html")
	if err := post(t.Context(), api, "/pages", page); err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, limit, func(ctx context.Context) error {
		stats, err := c.store.Stats(ctx)
		if pages := int64(len(c.want.Pages)) + 2; err == nil && stats.Pages != pages {
			err = fmt.Errorf("%+v, want %d pages", stats, pages)
		}
		return err
	})
	c.crash(t, second)
	if err := c.move(t, first); err == nil || !strings.Contains(err.Error(), "no other database is well") {
		t.Errorf("the last database moves its rows: %v", err)
	}
}

// move runs the drain command of a database.
func (e *engine) move(t *testing.T, db *cell) error {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(e.programs, "db"), "move")
	_, port, _ := strings.Cut(db.address, ":")
	command.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+e.consul.Addr(), "HOMEOSTAT_CELL="+db.id,
		"HOMEOSTAT_ADDRESS=127.0.0.1", "HOMEOSTAT_PORT="+port)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return nil
}

// pagesOf counts the pages of one database.
func pagesOf(t *testing.T, db *cell) int {
	t.Helper()
	one, err := store.Open(t.Context(), func(context.Context) (string, error) { return db.address, nil }, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	pages, _, err := one.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(pages)
}
