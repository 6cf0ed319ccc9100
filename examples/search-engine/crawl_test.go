// Package searchengine holds the tests of the example as a whole: real
// PostgreSQL and Consul, and an in-process broker of Kafka's protocol.
package searchengine

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/reach"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// maze makes a web of pages that link at random, in every way that links are
// written, to pages that exist and some that don't.
func maze(pages int) fstest.MapFS {
	random := rand.New(rand.NewPCG(1, 2))
	files := fstest.MapFS{"docs/notes.txt": {Data: []byte(`<a href="never.html">`)}}
	name := func() string { return fmt.Sprintf("d%d/p%d.html", random.IntN(5), random.IntN(pages)) }
	for i := range pages {
		var page strings.Builder
		fmt.Fprintf(&page, "<title>Page %d</title><p>word%d common<a href=#top>top</a>", i, i)
		for range 6 {
			fmt.Fprintf(&page, `<a href="../%s#x">1</a> <a href="/docs/%s">2</a><map><area href="./../%s"></map>`, name(), name(), name())
		}
		fmt.Fprintf(&page, `<a href="../notes.txt"></a><a href="..">up</a><a href="../d%d">folder</a><a href="http://elsewhere.example/">out</a>`, i%5)
		for d := range 5 {
			if (i+d)%2 == 0 { // half of what is linked doesn't exist
				files[fmt.Sprintf("docs/d%d/p%d.html", d, i)] = &fstest.MapFile{Data: []byte(page.String())}
			}
		}
	}
	files["docs/index.html"] = &fstest.MapFile{Data: []byte(`<a href="d0/p0.html">in</a>`)}
	return files
}

// crawl is a crawl of one web by one engine, and what it must come to.
type crawl struct {
	*engine
	scope string
	want  *reach.Web
	store *store.Databases
}

func newCrawl(t *testing.T, pages int) *crawl {
	t.Helper()
	files := maze(pages)
	c := &crawl{engine: newEngine(t, files)}
	c.scope = c.web.URL + "/docs/"
	var err error
	if c.want, err = reach.Count(files, c.scope, c.scope); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONSUL_HTTP_ADDR", c.consul.Addr())
	db, err := discover.New("db")
	if err != nil {
		t.Fatal(err)
	}
	c.store = store.NewDatabases(store.Places(db.All), func() string { return "db-1" }, 2)
	t.Cleanup(c.store.Close)
	return c
}

func (c *crawl) crawler(t *testing.T, name string, arguments ...string) *cell {
	t.Helper()
	return c.start(t, "crawler", name, append([]string{"-scope", c.scope, "-rate", "10000", "-commit", "100ms"}, arguments...)...)
}

func (c *crawl) seed(t *testing.T) {
	t.Helper()
	testkit.Await(t, limit, func(ctx context.Context) error {
		_, err := c.store.Seed(ctx, []string{c.scope})
		return err
	})
}

// atLeast waits until so many pages are stored.
func (c *crawl) atLeast(t *testing.T, pages int64) {
	t.Helper()
	testkit.Await(t, limit, func(ctx context.Context) error {
		stats, err := c.store.Stats(ctx)
		if err == nil && stats.Pages < pages {
			err = fmt.Errorf("%+v", stats)
		}
		return err
	})
}

// wantExact waits for the end of the crawl and holds what is stored against
// what is reachable.
func (c *crawl) wantExact(t *testing.T) {
	t.Helper()
	testkit.Await(t, limit, func(ctx context.Context) error {
		stats, err := c.store.Stats(ctx)
		if err != nil {
			return err
		}
		lag, err := c.lag(ctx)
		if err == nil && (lag > 0 || stats.Queued < stats.Known || stats.Stored < stats.Known || stats.Known < 2) {
			err = fmt.Errorf("the crawl is not done: lag %d, %+v", lag, stats)
		}
		return err
	})
	pages, links, err := c.store.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.want.Pages, pages); diff != "" {
		t.Errorf("pages (-reachable +stored):\n%s", diff)
	}
	got := map[reach.Link]bool{}
	for _, link := range links {
		got[reach.Link(link)] = true
	}
	if diff := cmp.Diff(c.want.Links, got); diff != "" {
		t.Errorf("links (-reachable +stored):\n%s", diff)
	}
}

func TestCrawlIsExact(t *testing.T) {
	c := newCrawl(t, 40)
	c.startBroker(t)
	c.start(t, "db", "db-1")
	api := c.start(t, "api", "api-1")
	c.start(t, "api", "api-2")
	c.crawler(t, "crawler-1", "-page-cost", "1ms")
	c.crawler(t, "crawler-2", "-page-cost", "1ms")
	c.seed(t)
	c.wantExact(t)
	statuses := map[int]int{}
	for _, status := range c.want.Pages {
		statuses[status]++
	}
	if statuses[200] < 50 || statuses[301] != 5 || statuses[404] < 20 {
		t.Errorf("the maze is no test: pages by status %v", statuses)
	}

	hits, err := api.get(t.Context(), http.MethodGet, "/search?q=word7")
	if err != nil || !strings.Contains(hits, "p7.html") || strings.Contains(hits, "p8.html") {
		t.Errorf("search for word7: %s, %v", hits, err)
	}

	// Every message once more changes nothing.
	c.send(t, slices.Collect(maps.Keys(c.want.Pages)))
	// Nor does what is no URL of this crawl, and it holds nothing up.
	c.send(t, []string{"http://elsewhere.example/", "no URL\x00", ""})
	c.wantExact(t)
}

// send puts messages on the topic as if a relay had.
func (c *crawl) send(t *testing.T, urls []string) {
	t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	writer := &kafka.Writer{Addr: kafka.TCP(c.brokerAddress()), Topic: "urls", BatchTimeout: 5 * time.Millisecond, Transport: transport}
	defer func() { _ = writer.Close() }()
	for _, url := range urls {
		if err := writer.WriteMessages(t.Context(), kafka.Message{Key: []byte(url), Value: []byte(url)}); err != nil {
			t.Fatal(err)
		}
	}
}

// A cell that stores a page and dies before the spool has its URLs loses none: the
// next cell puts them there.
func TestAPIKilledBetweenStoreAndQueue(t *testing.T) {
	c := newCrawl(t, 5)
	c.startBroker(t)
	c.start(t, "db", "db-1")
	// Its sidecar is away.
	api := c.startBeside(t, fmt.Sprintf("http://127.0.0.1:%d", testkit.FreePort(t)), "api", "api-1")
	testkit.Await(t, limit, func(ctx context.Context) error {
		return post(ctx, api, "/seed", fmt.Sprintf(`{"urls":[%q]}`, c.scope))
	})
	page := fmt.Sprintf(`{"url":%q,"status":200,"links":[%q]}`, c.scope, c.scope+"d0/p0.html")
	if err := post(t.Context(), api, "/pages", page); err != nil {
		t.Fatal(err)
	}
	stats, err := c.store.Stats(t.Context())
	if err != nil || stats.Pages != 1 || stats.Known != 2 || stats.Queued != 0 {
		t.Fatalf("before the crash: %+v, %v", stats, err)
	}
	c.crash(t, api)

	c.start(t, "api", "api-2")
	c.crawler(t, "crawler-1", "-page-cost", "0s")
	c.wantExact(t)
}

func post(ctx context.Context, c *cell, path, body string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.address+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("POST %s: %s", path, response.Status)
	}
	return nil
}

// Each kind of cell is killed in the middle of the crawl, and another takes its
// place; the database comes back over its data, elsewhere.
func TestCrawlOutlivesItsCells(t *testing.T) {
	c := newCrawl(t, 40)
	c.startBroker(t)
	db := c.start(t, "db", "db-1")
	api := c.start(t, "api", "api-1")
	crawler := c.crawler(t, "crawler-1", "-page-cost", "50ms")
	c.seed(t)
	c.atLeast(t, 10)
	c.crash(t, db)
	c.start(t, "db", "db-1")
	c.atLeast(t, 30)
	c.crash(t, api)
	c.start(t, "api", "api-2")
	c.atLeast(t, 50)
	c.crash(t, crawler)
	c.crawler(t, "crawler-2", "-page-cost", "10ms")
	c.wantExact(t)
}

// A drained crawler stays in the group until it has stored what it has in hand,
// however long that takes: the cell's drain time is its limit.
func TestDrainOfSlowPages(t *testing.T) {
	c := newCrawl(t, 5)
	c.startBroker(t)
	c.start(t, "db", "db-1")
	c.start(t, "api", "api-1")
	first := c.crawler(t, "crawler-1", "-page-cost", "8s")
	c.seed(t)
	inFlight := func(want float64) func(context.Context) error {
		return func(ctx context.Context) error {
			got, err := first.metric(ctx, "crawler_in_flight")
			if err == nil && got != want {
				err = fmt.Errorf("%v in flight, want %v", got, want)
			}
			return err
		}
	}
	testkit.Await(t, limit, inFlight(1))
	if err := first.call(t.Context(), http.MethodPut, "/drain"); err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, limit, inFlight(0))
	stats, err := c.store.Stats(t.Context())
	if err != nil || stats.Pages != 1 {
		t.Errorf("what it had in hand is not stored: %+v, %v", stats, err)
	}
}

// A drained crawler ends what it has in hand, hands its partitions on, and
// takes work again when that is taken back.
func TestDrain(t *testing.T) {
	c := newCrawl(t, 20)
	c.startBroker(t)
	c.start(t, "db", "db-1")
	c.start(t, "api", "api-1")
	first := c.crawler(t, "crawler-1", "-page-cost", "50ms")
	c.seed(t)
	c.atLeast(t, 3)
	if err := first.call(t.Context(), http.MethodPut, "/drain"); err != nil {
		t.Fatal(err)
	}
	testkit.Await(t, limit, func(ctx context.Context) error {
		inFlight, err := first.metric(ctx, "crawler_in_flight")
		if err == nil && inFlight > 0 {
			err = fmt.Errorf("%v in flight", inFlight)
		}
		return err
	})
	before, err := c.store.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before.Stored == before.Known {
		t.Fatal("the crawl ended before the cell was drained: this tests nothing")
	}
	second := c.crawler(t, "crawler-2", "-page-cost", "50ms")
	c.atLeast(t, before.Pages+10)
	if err := first.call(t.Context(), http.MethodDelete, "/drain"); err != nil {
		t.Fatal(err)
	}
	if err := second.call(t.Context(), http.MethodPut, "/drain"); err != nil {
		t.Fatal(err)
	}
	c.wantExact(t)
}
