package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

var rollingCells = flag.Int("cells", 3, "how many cells TestRollingRenewal renews")

// crawling is a house whose cells are the search engine's crawlers, with what is
// around them: the queue, a web, and an API over a database. What is judged is
// seen there and in Consul, outside the cells.
type crawling struct {
	*house
	around
	n int // how many cells there are to be, and min
	// lay writes the files of a release. What is instead is done by the shell before
	// the program is begun, or in its place.
	lay func(name, instead string)
	// agree says how what can be seen of n cells differs.
	agree func(context.Context, int) error
}

// crawlerPolicy is a policy of crawlers that are led by the lag of a topic.
const crawlerPolicy = `
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

// TestRollingRenewal renews crawlers under a steady load to another genome, and
// then has a genome that can't live stop at its first newcomer.
//
// Each message is a page to be stored, which is its effect. A crawler commits an
// offset after the page is stored, so a message can come again, and the store
// keeps a page once. So that this hides nothing, what is taken in hand again is
// counted too, where the pages are fetched.
func TestRollingRenewal(t *testing.T) {
	needServers(t)
	t.Parallel()
	c := newLocalCrawling(t, *rollingCells)
	kinds := []string{"exit 3"}
	if c.n >= 8 { // it takes another minute
		kinds = append(kinds, "sleep 100000")
	}
	c.release("one", "")
	c.apply()
	c.rolls(kinds...)
	c.succeed("pause")
	c.destroy()
	c.nothingIsLeft()
}

// rolls renews cells of the release "one" to "two", and tries releases whose
// program can't live.
func (c *crawling) rolls(broken ...string) {
	c.t.Helper()
	c.settle()
	c.load.begin(40)
	watch := countPassing(c.t, c.consul)
	c.fetches("one")

	began := time.Now()
	two := c.release("two", "")
	c.renewedTo(two)
	took := time.Since(began)
	c.fetches("two")
	c.plansNothing()
	c.t.Logf("the renewal: %s", c.judge(began))

	for _, instead := range broken {
		c.fails(two, instead)
	}
	c.load.end()
	least, most := watch()
	c.t.Logf("renewed=%d %s passing=%d..%d seconds=%.1f", c.n, c.judge(began), least, most, took.Seconds())
	if least < c.n || most > c.n+1 {
		c.t.Errorf("%d to %d cells took work, want %d or one more at any time", least, most, c.n)
	}
}

// release publishes one, and returns its genome.
func (c *crawling) release(name, instead string) (genome string) {
	c.t.Helper()
	c.lay(name, instead)
	c.succeed("publish", "pod")
	p, err := c.fleet.Published(c.t.Context(), "pod")
	c.must(err)
	return p.Genome
}

// settle waits until there are the cells that there are to be.
func (c *crawling) settle() {
	c.t.Helper()
	c.await(fmt.Sprintf("not %d cells", c.n), func(ctx context.Context) error { return c.agree(ctx, c.n) })
}

// renewedTo waits until all cells are of a genome.
func (c *crawling) renewedTo(genome string) {
	c.t.Helper()
	for range c.n {
		c.await("the renewal gets no further", c.further(genome))
	}
	c.settle()
}

// further returns a condition that comes when a cell more is of a genome than
// are now, or all are.
func (c *crawling) further(genome string) func(context.Context) error {
	of := func(ctx context.Context) (n int, err error) {
		members, err := c.fleet.Members(ctx, "pod")
		for _, m := range members {
			if m.Genome == genome && m.Health == fleet.Passing {
				n++
			}
		}
		return n, err
	}
	before, err := of(c.t.Context())
	c.must(err)
	return func(ctx context.Context) error {
		now, err := of(ctx)
		if err == nil && now < c.n && now <= before {
			err = fmt.Errorf("%d of %d cells are of the genome", now, c.n)
		}
		return err
	}
}

// fetches waits until every cell that there is, and no other, fetches pages.
func (c *crawling) fetches(release string) {
	c.t.Helper()
	var want []string
	for name := range c.lives() {
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

// fails publishes a genome whose cells don't come to live, and goes the way back
// that status shows.
func (c *crawling) fails(good, instead string) {
	c.t.Helper()
	before := c.lives()
	c.haltsAt(c.release("broken by "+strings.Fields(instead)[0], instead+"; "))
	c.settle()
	c.plansNothing()
	status := c.succeed("status")
	c.t.Logf("after %q:\n%s", instead, status)
	back := regexp.MustCompile(`homeostat publish -digest ([0-9a-f]{64}) pod`).FindStringSubmatch(status)
	if back == nil {
		c.t.Fatalf("status doesn't show the way back:\n%s", status)
	}
	c.goesBack(back[1], good)
	if now := c.lives(); !maps.Equal(now, before) {
		c.t.Errorf("the cells are %v, were %v", now, before)
	}
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

// goesBack publishes a bundle that was published before, and waits until nothing
// is to be told of a renewal any more.
func (c *crawling) goesBack(bundle, good string) {
	c.t.Helper()
	c.lay("two", "") // the files are brought back first
	c.succeed("publish", "-digest", bundle, "pod")
	c.await("it isn't quiet again", func(ctx context.Context) error {
		record, _, err := c.fleet.Record(ctx, "pod")
		if err == nil && (record.Halt != nil || record.Genome != good || record.Bundle != bundle) {
			err = fmt.Errorf("%+v", record)
		}
		if out := c.succeed("status"); err == nil && (strings.Contains(out, "renewal") || strings.Contains(out, "trouble")) {
			err = fmt.Errorf("status says:\n%s", out)
		}
		return err
	})
	c.settle()
}
