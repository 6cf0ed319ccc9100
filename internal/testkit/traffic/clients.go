package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Clients are whoever sends.
type Clients struct {
	Address string
	Streams []Stream
	// For is how long requests become due, and WarmUp how long of it doesn't count.
	For, WarmUp time.Duration
	// Connections is how many there are at most. A request for which none is free
	// waits, and that is part of its latency.
	Connections int
	// Every has the outcomes told for each span of this length too; 0 for none.
	Every time.Duration
	// Closed has each connection send the next request once the one before is
	// answered, as fast as that goes, in place of a rate; the streams take turns.
	Closed bool
	Seed   uint64
}

// Send sends and waits for the last answer or the end of patience.
func (c Clients) Send(ctx context.Context) ([]Outcome, error) {
	if c.For <= c.WarmUp || c.Connections < 1 || len(c.Streams) == 0 {
		return nil, fmt.Errorf("clients need streams, a connection, and a time that is longer than the warm-up")
	}
	s := &sending{Clients: c, idle: make(chan *caller, c.Connections), begin: time.Now()}
	for range c.Connections {
		s.idle <- &caller{connection: connection{address: c.Address}}
	}
	defer s.close()
	outcomes := make([]Outcome, len(c.Streams))
	var streams sync.WaitGroup
	for i := range c.Streams {
		streams.Go(func() {
			one := &streaming{
				sending: s, Stream: &c.Streams[i], request: c.Streams[i].request(c.Address, c.Streams[i].Path),
				record: newRecord(c.Streams[i].Name, c.For-c.WarmUp, c.Every),
			}
			if c.Closed {
				one.closed(ctx, c.Connections/len(c.Streams))
			} else {
				one.open(ctx, rand.New(rand.NewPCG(c.Seed, uint64(i)))) //nolint:gosec // repeatable load
			}
			outcomes[i] = one.record.outcome()
		})
	}
	streams.Wait()
	return outcomes, ctx.Err()
}

type sending struct {
	Clients
	begin time.Time
	idle  chan *caller
}

func (s *sending) close() {
	for range s.Connections {
		(<-s.idle).drop()
	}
}

// streaming is one stream on its way.
type streaming struct {
	*sending
	*Stream
	request []byte
	mu      sync.Mutex
	record  *record
}

// closed sends one request after the other on each of n connections.
func (s *streaming) closed(ctx context.Context, n int) {
	var senders sync.WaitGroup
	for range n {
		senders.Go(func() {
			for ctx.Err() == nil && time.Since(s.begin) < s.For {
				s.one(ctx, time.Since(s.begin))
			}
		})
	}
	senders.Wait()
}

// open sends requests when they are due, each on a goroutine of its own.
func (s *streaming) open(ctx context.Context, random *rand.Rand) {
	var sent sync.WaitGroup
	defer sent.Wait()
	due := arrivals{random: random, rate: s.Rate, then: s.Then}
	for {
		at, ok := due.next()
		if !ok || at >= s.For || !sleepUntil(ctx, s.begin.Add(at)) {
			return
		}
		sent.Go(func() { s.one(ctx, at) })
	}
}

func sleepUntil(ctx context.Context, at time.Time) bool {
	if wait := time.Until(at); wait > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return ctx.Err() == nil
}

// one sends the request that is due at an instant, and counts what becomes of it.
func (s *streaming) one(ctx context.Context, due time.Duration) {
	at := s.begin.Add(due)
	ctx, cancel := context.WithDeadline(ctx, at.Add(s.Patience))
	defer cancel()
	b := s.ask(ctx, at.Add(s.Patience))
	b.took = time.Since(at)
	if due < s.WarmUp {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.count(due-s.WarmUp, b, s.Patience)
}

// ask asks by the first caller that is free.
func (s *streaming) ask(ctx context.Context, end time.Time) became {
	var c *caller
	select {
	case c = <-s.idle:
	default:
		select {
		case c = <-s.idle:
		case <-ctx.Done():
			return became{err: ctx.Err()}
		}
	}
	defer func() { s.idle <- c }()
	return c.ask(ctx, end, s.Stream, s.request)
}
