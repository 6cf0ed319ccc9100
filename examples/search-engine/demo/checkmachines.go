package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// machinesLimit is how long machines may take to be as many as they are to be.
// Each order is a run of Terraform with a large provider.
const machinesLimit = 15 * time.Minute

// checkMachines crawls once, with crawlers that are born on machines and end with
// them. On the way it kills the program that has booted them, which they must
// outlive. It returns the line to end with.
func (d *demo) checkMachines(ctx context.Context) (string, error) {
	s := newScreen(os.Stdout, len(d.web.want.Pages))
	most := 0
	var killed error
	took, err := d.crawl(ctx, s, "crawling: machines as needed", func(now sight) {
		if most <= minCrawlers && now.crawlers() > minCrawlers {
			s.say("Killing the program that boots the machines, and starting it again.")
			killed = d.cloud.restart()
		}
		most = max(most, now.crawlers())
	})
	if err := errors.Join(err, killed); err != nil {
		return "", err
	}
	if most <= minCrawlers {
		return "", fmt.Errorf("the crawlers did not go up: never more than %d", most)
	}
	what := fmt.Sprintf("waiting for %d crawlers", minCrawlers)
	err = d.until(ctx, s, machinesLimit, what, func(now sight) bool {
		return now.settled("crawler", minCrawlers) && d.cloud.running(ctx, minCrawlers) == nil
	})
	if err != nil {
		return "", errors.Join(err, d.cloud.running(ctx, minCrawlers))
	}
	// For a person who has neither count nor names there is nothing to change.
	if err := d.terraform(ctx, "crawler", "plan", "-detailed-exitcode", "-lock-timeout=1m"); err != nil {
		return "", fmt.Errorf("the plan after it isn't empty: %w", err)
	}
	born := d.cloud.births.done()
	s.say("Seconds from the order to the instance, until its machine had booted and come for the ticket, had installed the cell, was healthy:")
	for _, b := range born {
		s.say("  %s", b)
	}
	return fmt.Sprintf("pages=%d crawlers_max=%d births=%d seconds=%.0f", len(d.web.want.Pages), most, len(born), took.Seconds()), nil
}

// running returns an error unless EC2 has just so many instances that run.
func (c *cloud) running(ctx context.Context, instances int) error {
	all, err := c.ec2.Instances(ctx)
	if err != nil {
		return err
	}
	n := 0
	for _, i := range all {
		if i.State == "running" {
			n++
		}
	}
	if n != instances {
		return fmt.Errorf("EC2 has %d instances that run, and there are to be %d", n, instances)
	}
	return nil
}
