package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

var rollingCells = flag.Int("cells", 3, "how many cells TestRollingRenewal renews")

// crawling is a house whose cells are the search engine's crawlers, with what is
// around them: the queue, a web, and an API over a database. What is judged is
// seen there and in Consul, outside the cells.
type crawling struct {
	*house
	n     int // how many cells there are to be, and min
	load  *load
	web   *web
	pages *pages
}

// crawlerPolicy is a policy of crawlers that are led by the lag of a topic.
const crawlerPolicy = `
  genome = "pod.genome.hcl"
  drain {
    path    = "/drain"
    timeout = "20s"
  }
  health {
    http     = "/healthz"
    interval = "500ms"
  }
  metrics {
    busy      = "crawler_busy"
    in_flight = "crawler_in_flight"
  }
  kafka_lag {
    topic = "urls"
    group = "crawlers"
    upper = "1m"
  }
`

// newCrawling lays out a house of n crawlers of the release "one".
func newCrawling(t *testing.T, n int) *crawling {
	t.Helper()
	programs := buildCrawling(t)
	kafka := testkit.Kafka(t)
	c := &crawling{n: n, web: newWeb(t)}
	c.load = newLoad(t, kafka, c.web.URL)
	c.pages = newPages(t, filepath.Join(programs, "api"), kafka)
	crawler := fmt.Sprintf(`exec '%s' -agent "one $HOMEOSTAT_CELL" -brokers %s -scope %s/ -api %s -rate 1000`,
		filepath.Join(programs, "crawler"), kafka.Addr(), c.web.URL, c.pages.api)
	c.house = newHouse(t, houseOptions{
		Min: n, Max: n + 2, Initial: n, Policy: crawlerPolicy, Command: []string{"sh", "-c", crawler},
		Above: fmt.Sprintf("bundle = \"bundles\"\nkafka { brokers = [%q] }", kafka.Addr()),
	})
	c.edit("pod/main.tf", `create = "30s"`, `create = "1m"`) // eight on a busy machine
	return c
}

// TestRollingRenewal renews crawlers under a steady load to another genome, and
// then to two that can't live, of which each ends at its first newcomer.
//
// Each message is a page to be stored, which is its effect. A crawler commits an
// offset after the page is stored, so a message can come again, and the store
// keeps a page once. So that this hides nothing, what is taken in hand again is
// counted too, where the pages are fetched.
func TestRollingRenewal(t *testing.T) {
	needServers(t)
	t.Parallel()
	c := newCrawling(t, *rollingCells)
	c.run(c.terraform, "init", "-no-color") // the lock file is part of the bundle
	c.publish("one")
	c.apply()
	c.settled(c.n, patience)
	c.load.begin(40)
	watch := countPassing(t, c.consul)
	c.fetches("one")

	began := time.Now()
	c.edit("pod/main.tf", "one $HOMEOSTAT_CELL", "two $HOMEOSTAT_CELL")
	two := c.publish("two")
	names := c.renewed(c.n, two)
	took := time.Since(began)
	c.fetches("two")
	t.Logf("the renewal: %s", c.judge(began))

	c.fails(two, "exit 3; ")
	if c.n >= 8 { // it takes another minute
		c.fails(two, "sleep 100000; ")
	}
	c.load.end()
	least, most := watch()
	t.Logf("renewed=%d %s passing=%d..%d seconds=%.1f", len(names), c.judge(began), least, most, took.Seconds())
	if least < c.n || most > c.n+1 {
		t.Errorf("%d to %d cells took work, want %d or one more at any time", least, most, c.n)
	}
	c.succeed("pause")
	c.destroy()
}

// fetches waits until every cell that there is, and no other, fetches pages.
func (c *crawling) fetches(release string) {
	c.t.Helper()
	var want []string
	for _, name := range c.processes() {
		want = append(want, release+" "+name)
	}
	slices.Sort(want)
	c.web.agents()
	c.await("other cells fetch", func(context.Context) error {
		time.Sleep(500 * time.Millisecond) // so that all have had something to do
		if got := c.web.agents(); !slices.Equal(got, want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// fails publishes a genome whose cells don't come to live, since something is
// done in the program's place, and goes the way back that status shows.
func (c *crawling) fails(good, instead string) {
	c.t.Helper()
	before := c.everyLife()
	undo := c.edit("pod/main.tf", "exec ", instead+"exec ")
	broken := c.publish(instead)
	c.haltsAt(broken)
	c.settled(c.n, patience)
	c.sameLives(before)
	status := c.succeed("status")
	c.t.Logf("after %q:\n%s", instead, status)
	back := regexp.MustCompile(`homeostat publish -digest ([0-9a-f]{64}) pod`).FindStringSubmatch(status)
	if back == nil {
		c.t.Fatalf("status doesn't show the way back:\n%s", status)
	}
	undo()
	c.succeed("publish", "-digest", back[1], "pod")
	c.await("it isn't quiet again", func(ctx context.Context) error {
		record, _, err := c.fleet.Record(ctx, "pod")
		if err == nil && (record.Halt != nil || record.Genome != good) {
			err = fmt.Errorf("%+v", record)
		}
		return err
	})
	c.await("status tells of a renewal", func(context.Context) error {
		if out := c.succeed("status"); strings.Contains(out, "renewal") || strings.Contains(out, "trouble") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	c.settled(c.n, patience)
	c.sameLives(before)
}

// haltsAt waits until the renewal to a genome is stopped.
func (c *crawling) haltsAt(genome string) {
	c.t.Helper()
	c.await("the renewal isn't stopped", func(ctx context.Context) error {
		record, _, err := c.fleet.Record(ctx, "pod")
		if err == nil && (record.Halt == nil || record.Halt.Genome != genome) {
			err = fmt.Errorf("%+v", record)
		}
		return err
	})
}
