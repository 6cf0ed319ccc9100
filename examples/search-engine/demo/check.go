package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/replay"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// minCrawlers and gain are what the check holds the crawlers to: the policy's
// minimum, and how many times as long a crawl takes with no more than that. minAPIs
// is the policy's, too, and inTime the share of the searches that must be answered
// within a second.
const (
	minCrawlers = 1
	gain        = 1.5
	minAPIs     = 1
	inTime      = 0.8
)

// settleLimit is how long a service may take to get to where it is to be.
const settleLimit = 3 * time.Minute

// check crawls three times: as Homeostat would; with the crawlers pinned, while
// clients search; and with cells of every kind killed on the way. At last a database
// leaves. It returns the line to end with.
func (d *demo) check(ctx context.Context) (string, error) {
	s := newScreen(os.Stdout, len(d.web.want.Pages))
	most := 0
	free, err := d.crawl(ctx, s, "crawl 1: crawlers as needed", func(now sight) { most = max(most, now.crawlers()) })
	if err != nil {
		return "", err
	}
	if most <= minCrawlers {
		return "", fmt.Errorf("the crawlers did not go up: never more than %d", most)
	}
	pinned, searched, err := d.pinnedCrawl(ctx, s)
	if err != nil {
		return "", err
	}
	if pinned.Seconds() < gain*free.Seconds() {
		return "", fmt.Errorf("pinned to %d crawler the crawl took %s, which is not %.1f times the %s it took freely", minCrawlers, pinned, gain, free)
	}
	replaced, err := d.killingCrawl(ctx, s)
	if err != nil {
		return "", err
	}
	if err := d.shrink(ctx, s); err != nil {
		return "", err
	}
	return fmt.Sprintf("pages=%d crawlers_max=%d births=%d replaced=%d seconds=%.0f pinned_seconds=%.0f %s",
		len(d.web.want.Pages), most, len(d.seen), replaced, free.Seconds(), pinned.Seconds(), searched), nil
}

// crawl crawls everything anew and returns how long that took.
func (d *demo) crawl(ctx context.Context, s *screen, what string, each func(sight)) (time.Duration, error) {
	if err := d.begin(ctx); err != nil {
		return 0, err
	}
	return d.finish(ctx, s, what, time.Now(), each)
}

// begin forgets the crawl before and seeds a new one.
func (d *demo) begin(ctx context.Context) error {
	if err := d.store.Clear(ctx); err != nil {
		return err
	}
	return d.seed(ctx)
}

// finish waits for the end of a crawl and makes sure that it is exact.
func (d *demo) finish(ctx context.Context, s *screen, what string, began time.Time, each func(sight)) (time.Duration, error) {
	err := d.until(ctx, s, crawlLimit, what, func(now sight) bool {
		each(now)
		return now.complete()
	})
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	if err := d.exact(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	s.say("%s: complete and exact after %s", what, took.Round(time.Second))
	return took, nil
}

// settle waits until a service has so many cells and no more is on the way.
func (d *demo) settle(ctx context.Context, s *screen, service string, cells int) error {
	return d.until(ctx, s, settleLimit, fmt.Sprintf("waiting for %d cells of %s", cells, service), func(now sight) bool {
		return now.settled(service, cells)
	})
}

// pin fixes the number of crawlers and waits for it.
func (d *demo) pin(ctx context.Context, s *screen, crawlers int) error {
	if err := d.homeostat(ctx, "pin", "crawler", fmt.Sprint(crawlers)); err != nil {
		return err
	}
	return d.settle(ctx, s, "crawler", crawlers)
}

// searched is what clients saw during a crawl.
type searched struct {
	replay.Sum
	apis, databases int // the most there were, and how many kept the pages
}

// String is the end of the line to end with.
func (s searched) String() string {
	return fmt.Sprintf("apis_max=%d databases=%d searches=%d search_rate=%.1f search_p99=%.3f searches_in_time=%.3f search_errors=%d",
		s.apis, s.databases, s.Queries, s.Rate, s.P99.Seconds(), s.InTime, s.Errors)
}

// pinnedCrawl crawls with the fewest crawlers, so that it is the clients' load alone
// that the APIs grow with.
func (d *demo) pinnedCrawl(ctx context.Context, s *screen) (time.Duration, searched, error) {
	if err := d.settle(ctx, s, "crawler", minCrawlers); err != nil {
		return 0, searched{}, err
	}
	if err := d.pin(ctx, s, minCrawlers); err != nil {
		return 0, searched{}, err
	}
	if err := d.settle(ctx, s, "api", minAPIs); err != nil {
		return 0, searched{}, err
	}
	clients, err := d.search(ctx, busyFrom, busyFrom+busyFor)
	if err != nil {
		return 0, searched{}, err
	}
	crawlers, got := 0, searched{}
	took, err := d.crawl(ctx, s, "crawl 2: crawlers pinned, clients search", func(now sight) {
		crawlers, got.apis = max(crawlers, now.crawlers()), max(got.apis, now.apis())
		got.databases = len(now.passing("db"))
	})
	sum, ended := clients.end()
	got.Sum = sum
	s.say("Clients saw: %s", sum)
	for _, why := range sum.Why {
		s.say("  %s", why)
	}
	switch err = errors.Join(err, ended); {
	case err != nil:
	case crawlers > minCrawlers:
		err = fmt.Errorf("the crawlers were pinned to %d and became %d", minCrawlers, crawlers)
	case got.apis <= minAPIs:
		err = fmt.Errorf("the APIs did not go up with the clients' load: never more than %d; %s", got.apis, got.Sum)
	case got.InTime < inTime:
		err = fmt.Errorf("too few searches were answered in time: %s; errors: %q", got.Sum, got.Why)
	}
	return took, got, err
}

// killingCrawl kills cells in the middle of a crawl, which must be exact all
// the same. It returns how many were replaced.
func (d *demo) killingCrawl(ctx context.Context, s *screen) (int, error) {
	// Pinned, since a crawler that is not needed any more is not replaced.
	if err := d.pin(ctx, s, minCrawlers+1); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := d.begin(ctx); err != nil {
		return 0, err
	}
	replaced := 0
	for i, service := range []string{"crawler", "db", "api"} {
		// At a tenth, two tenths and three tenths of the crawl.
		pages := int64(len(d.web.want.Pages) * (i + 1) / 10)
		err := d.until(ctx, s, crawlLimit, "crawl 3: until the next kill", func(now sight) bool {
			return now.complete() || now.stats != nil && now.stats.Pages >= pages && len(now.passing(service)) > 0
		})
		if err != nil {
			return 0, err
		}
		if err := d.killOne(ctx, s, service); err != nil {
			return 0, err
		}
		replaced++
	}
	if _, err := d.finish(ctx, s, "crawl 3: with cells killed", began, func(sight) {}); err != nil {
		return 0, err
	}
	if err := d.homeostat(ctx, "unpin", "crawler"); err != nil {
		return 0, err
	}
	return replaced, d.settle(ctx, s, "crawler", minCrawlers)
}

// shrink has all databases but one leave, which must lose nothing.
func (d *demo) shrink(ctx context.Context, s *screen) error {
	if err := d.homeostat(ctx, "pin", "db", "1"); err != nil {
		return err
	}
	err := d.until(ctx, s, settleLimit, "waiting for a database to leave", func(now sight) bool {
		return now.settled("db", 1) && now.stats != nil
	})
	if err != nil {
		return err
	}
	if err := d.exact(ctx); err != nil {
		return fmt.Errorf("after a database has left: %w", err)
	}
	s.say("A database has left, and what is stored is exact.")
	return nil
}

// killOne kills a cell with all its processes, of the API every cell there is,
// and waits for another in its place. A database's must have the data.
func (d *demo) killOne(ctx context.Context, s *screen, service string) error {
	before := d.look(ctx)
	victims := before.passing(service)
	if before.stats == nil || len(victims) == 0 || before.complete() {
		return fmt.Errorf("no %s can be killed in the middle of the crawl: %d are passing, and the database has %+v", service, len(victims), before.stats)
	}
	// One API that is not needed any more isn't replaced, so there may be fewer then.
	count := minAPIs
	if service != "api" {
		victims, count = victims[:1], len(victims)
	}
	dead := map[string]bool{}
	for _, victim := range victims {
		dead[victim.ID()] = true
		killed, err := d.kill(victim.Cell)
		if err != nil {
			return err
		}
		s.say("Killed %s with its %d processes.", victim.ID(), killed)
	}
	what := fmt.Sprintf("crawl 3: waiting for another %s", service)
	return d.until(ctx, s, settleLimit, what, func(now sight) bool {
		return replacedBy(now.passing(service), dead, count) &&
			now.stats != nil && now.stats.Pages >= before.stats.Pages
	})
}

// replacedBy says whether there are as many cells again without the dead ones.
func replacedBy(members []fleet.Member, dead map[string]bool, count int) bool {
	for _, member := range members {
		if dead[member.ID()] {
			return false
		}
	}
	return len(members) >= count
}
