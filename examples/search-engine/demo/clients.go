package main

import (
	"context"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/replay"
)

// The clients replay a day of a real load balancer, five minutes of it in a second.
// The check takes the six hours with the most requests. On average they ask nearly
// as much as one API can answer, and at times a multiple of that.
const (
	clientsSpeed = 300
	clientsRate  = 30
	busyFrom     = 16*time.Hour + 35*time.Minute
	busyFor      = 6 * time.Hour
)

// clients search while the crawl goes on.
type clients struct {
	tally  replay.Tally
	cancel context.CancelFunc
	ended  chan error
}

// search begins to replay a part of the day, through the front.
func (d *demo) search(ctx context.Context, from, to time.Duration) (*clients, error) {
	trace, err := replay.Default()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &clients{cancel: cancel, ended: make(chan error, 1)}
	replayed := replay.Clients{URL: d.front(), Trace: trace.Part(from, to), Speed: clientsSpeed, Rate: clientsRate, Seed: 1}
	go func() { c.ended <- replayed.Replay(ctx, &c.tally) }()
	d.clients = c
	return c, nil
}

// end stops searching and says what became of it.
func (c *clients) end() (replay.Sum, error) {
	c.cancel()
	err := <-c.ended
	return c.tally.Sum(), err
}
