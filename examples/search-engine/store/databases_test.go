package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// two are two databases, the first of which is the own one.
type two struct {
	*Databases
	servers [2]*testkit.PostgresServer
	spared  atomic.Bool // the first is about to leave
}

func newTwo(t *testing.T) *two {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs PostgreSQL")
	}
	d := &two{servers: [2]*testkit.PostgresServer{testkit.Postgres(t), testkit.Postgres(t)}}
	d.Databases = NewDatabases(func(context.Context) ([]Place, error) {
		return []Place{
			{Name: "db-1", Address: d.servers[0].Addr(), Writable: !d.spared.Load()},
			{Name: "db-2", Address: d.servers[1].Addr(), Writable: true},
		}, nil
	}, func() string { return "db-1" }, 3)
	t.Cleanup(d.Close)
	return d
}

func (d *two) put(t *testing.T, url string, links ...string) (stored bool, found int64) {
	t.Helper()
	stored, found, err := d.Put(t.Context(), Page{URL: url, Status: 200, Title: "Page", Text: "common " + url, Links: links})
	if err != nil {
		t.Fatal(err)
	}
	return stored, found
}

// in are the pages of one database.
func (d *two) in(t *testing.T, i int) []string {
	t.Helper()
	all, err := d.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pages, _, err := all[i].All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(pages))
}

func (d *two) wantStats(t *testing.T, want Stats) {
	t.Helper()
	got, err := d.Stats(t.Context())
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestDatabases(t *testing.T) {
	d := newTwo(t)
	if n, err := d.Seed(t.Context(), []string{"http://h/a"}); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if stored, found := d.put(t, "http://h/a", "http://h/b", "http://h/c"); !stored || found != 2 {
		t.Errorf("the first page: %v, %d", stored, found)
	}
	// What is known in the first isn't found again by who writes to the second.
	d.spared.Store(true)
	if stored, found := d.put(t, "http://h/b", "http://h/a", "http://h/c", "http://h/d"); !stored || found != 1 {
		t.Errorf("a page in the second: %v, %d", stored, found)
	}
	if stored, found := d.put(t, "http://h/a", "http://h/e"); stored || found != 0 {
		t.Errorf("a page that the first has: %v, %d", stored, found)
	}
	if n, err := d.Seed(t.Context(), []string{"http://h/a", "http://h/d"}); err != nil || n != 0 {
		t.Errorf("known URLs are seeded: %d, %v", n, err)
	}
	if got := fmt.Sprint(d.in(t, 0), d.in(t, 1)); got != "[http://h/a] [http://h/b]" {
		t.Errorf("pages %s", got)
	}
	d.wantStats(t, Stats{Pages: 2, Links: 5, Known: 4, Queued: 0, Stored: 2})

	// Both databases' URLs go to the queue, each once.
	var queued []string
	send := func(_ context.Context, urls []string) error {
		queued = append(queued, urls...)
		return nil
	}
	if n, err := d.Queue(t.Context(), 1000, send); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	slices.Sort(queued)
	if got := strings.Join(queued, " "); got != "http://h/a http://h/b http://h/c http://h/d" {
		t.Errorf("queued %s", got)
	}
	d.wantStats(t, Stats{Pages: 2, Links: 5, Known: 4, Queued: 4, Stored: 2})
	hits, away, err := d.Search(t.Context(), "common", 10)
	if err != nil || away != 0 || len(hits) != 2 || hits[0].URL != "http://h/a" || hits[1].URL != "http://h/b" {
		t.Errorf("hits %+v, %d away, %v", hits, away, err)
	}

	// One that leaves moves all it has, and takes nothing more.
	all, err := d.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if pages, err := all[0].MoveTo(t.Context(), all[1].Store); err != nil || pages != 1 {
		t.Fatalf("moved %d pages, %v", pages, err)
	}
	if got := fmt.Sprint(d.in(t, 0), d.in(t, 1)); got != "[] [http://h/a http://h/b]" {
		t.Errorf("pages after the move %s", got)
	}
	d.wantStats(t, Stats{Pages: 2, Links: 5, Known: 4, Queued: 4, Stored: 2})
	d.spared.Store(false)
	d.put(t, "http://h/c", "http://h/e")
	if got := fmt.Sprint(d.in(t, 0)); got != "[]" {
		t.Errorf("the database that left has taken %s", got)
	}
	// Nor does it keep the other's URLs from the queue.
	if n, err := d.Queue(t.Context(), 1000, send); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	// A move that can't be made is taken back.
	if _, err := all[1].MoveTo(t.Context(), all[0].Store); err == nil || !Away(err) {
		t.Errorf("moved to where nobody may write: %v", err)
	}
	if stored, _ := d.put(t, "http://h/d"); !stored {
		t.Error("the database that was to leave doesn't take pages again")
	}
}

// The same page, found and stored in two databases in the same instant, counts once.
func TestDoublesCountOnce(t *testing.T) {
	d := newTwo(t)
	all, err := d.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page := Page{URL: "http://h/a", Status: 200, Text: "common", Links: []string{"http://h/a", "http://h/b"}}
	for _, one := range all {
		if stored, found, err := one.Put(t.Context(), page, nil); err != nil || !stored || found != 2 {
			t.Fatalf("%v, %d, %v", stored, found, err)
		}
	}
	d.wantStats(t, Stats{Pages: 1, Links: 2, Known: 2, Queued: 0, Stored: 1})
	if _, err := all[0].Queue(t.Context(), 10, func(context.Context, []string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	// The other one will queue them, too.
	d.wantStats(t, Stats{Pages: 1, Links: 2, Known: 2, Queued: 0, Stored: 1})
	pages, links, err := d.All(t.Context())
	if err != nil || len(pages) != 1 || len(links) != 2 {
		t.Errorf("%d pages, %d links, %v", len(pages), len(links), err)
	}
	if hits, _, err := d.Search(t.Context(), "common", 10); err != nil || len(hits) != 1 {
		t.Errorf("hits %+v, %v", hits, err)
	}
	if err := d.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.wantStats(t, Stats{})
}

// While the own database is away the other one is written to; searches say that
// something is missing, and counts aren't given at all.
func TestADatabaseIsAway(t *testing.T) {
	d := newTwo(t)
	d.put(t, "http://h/a", "http://h/b")
	if err := d.servers[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if stored, found := d.put(t, "http://h/b", "http://h/a"); !stored || found != 1 {
		t.Errorf("without the own one: %v, %d", stored, found)
	}
	hits, away, err := d.Search(t.Context(), "common", 10)
	if err != nil || away != 1 || len(hits) != 1 || hits[0].URL != "http://h/b" {
		t.Errorf("hits %+v, %d away, %v", hits, away, err)
	}
	if stats, err := d.Stats(t.Context()); err == nil {
		t.Errorf("without the first the counts are %+v", stats)
	}
	if err := d.servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	if hits, _, err := d.Search(t.Context(), "common", 10); !Away(err) {
		t.Errorf("without any: %+v, %v", hits, err)
	}
	if _, _, err := d.Put(t.Context(), Page{URL: "http://h/c"}); !Away(err) {
		t.Errorf("without any a page is stored: %v", err)
	}
}

// A database that is not registered counts as away, and is forgotten after a while.
func TestADatabaseIsForgotten(t *testing.T) {
	registered := []Place{{Name: "db-1", Address: "127.0.0.1:1", Writable: true}}
	d := NewDatabases(func(context.Context) ([]Place, error) { return registered, nil }, func() string { return "" }, 1)
	t.Cleanup(d.Close)
	count := func() int {
		all, _ := d.all(t.Context()) // none is an error, and 0
		return len(all)
	}
	if n := count(); n != 1 {
		t.Errorf("%d databases", n)
	}
	registered = nil
	if n := count(); n != 1 {
		t.Errorf("%d databases just after it is gone", n)
	}
	d.known["db-1"].seen = time.Now().Add(-2 * forgetAfter)
	if n := count(); n != 0 {
		t.Errorf("%d databases long after it is gone", n)
	}
	registered = []Place{{Name: "db-2", Address: "127.0.0.1:1", Leaving: true}}
	if n := count(); n != 1 {
		t.Errorf("%d databases while one is leaving", n)
	}
	registered = nil
	if n := count(); n != 0 {
		t.Errorf("%d databases after it has left", n)
	}
}

func TestMergeHits(t *testing.T) {
	hits := []Hit{{URL: "b", Rank: 1}, {URL: "a", Rank: 1}, {URL: "c", Rank: 3}, {URL: "c", Rank: 3}, {URL: "d", Rank: 0.5}}
	want := []Hit{{URL: "c", Rank: 3}, {URL: "a", Rank: 1}, {URL: "b", Rank: 1}}
	if diff := cmp.Diff(want, mergeHits(hits, 3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := mergeHits(nil, 3); got == nil || len(got) != 0 {
		t.Errorf("no hits are %v, which JSON would write as null", got)
	}
}
