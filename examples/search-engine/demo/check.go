package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// minCrawlers and gain are what the check holds the crawlers to: the policy's
// minimum, and how many times as long a crawl takes with no more than that.
const (
	minCrawlers = 1
	gain        = 1.5
)

// settleLimit is how long a service may take to get to where it is to be.
const settleLimit = 3 * time.Minute

// check crawls three times: as Homeostat would, with the crawlers pinned, and
// with cells of every kind killed on the way. It returns the line to end with.
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
	if err := d.settle(ctx, s, minCrawlers); err != nil {
		return "", err
	}
	pinned, err := d.pinnedCrawl(ctx, s)
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
	return fmt.Sprintf("pages=%d crawlers_max=%d births=%d replaced=%d seconds=%.0f pinned_seconds=%.0f",
		len(d.web.want.Pages), most, len(d.seen), replaced, free.Seconds(), pinned.Seconds()), nil
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

// settle waits until there are so many crawlers and no more is on the way.
func (d *demo) settle(ctx context.Context, s *screen, crawlers int) error {
	return d.until(ctx, s, settleLimit, fmt.Sprintf("waiting for %d crawlers", crawlers), func(now sight) bool {
		return now.settled("crawler", crawlers)
	})
}

// pin fixes the number of crawlers and waits for it.
func (d *demo) pin(ctx context.Context, s *screen, crawlers int) error {
	if err := d.homeostat(ctx, "pin", "crawler", fmt.Sprint(crawlers)); err != nil {
		return err
	}
	return d.settle(ctx, s, crawlers)
}

func (d *demo) pinnedCrawl(ctx context.Context, s *screen) (time.Duration, error) {
	if err := d.pin(ctx, s, minCrawlers); err != nil {
		return 0, err
	}
	most := 0
	took, err := d.crawl(ctx, s, "crawl 2: crawlers pinned", func(now sight) { most = max(most, now.crawlers()) })
	if err == nil && most > minCrawlers {
		err = fmt.Errorf("the crawlers were pinned to %d and became %d", minCrawlers, most)
	}
	return took, err
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
	return replaced, d.settle(ctx, s, minCrawlers)
}

// killOne kills a cell with all its processes, of the API every cell there is,
// and waits for another in its place. A database's must have the data.
func (d *demo) killOne(ctx context.Context, s *screen, service string) error {
	before := d.look(ctx)
	victims := before.passing(service)
	if before.stats == nil || len(victims) == 0 || before.complete() {
		return fmt.Errorf("no %s can be killed in the middle of the crawl: %d are passing, and the database has %+v", service, len(victims), before.stats)
	}
	if service == "crawler" {
		victims = victims[:1]
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
		return replacedBy(now.passing(service), dead, len(before.passing(service))) &&
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
