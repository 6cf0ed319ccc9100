package traffic

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// Stream is one kind of request, sent at random instants (a Poisson process).
type Stream struct {
	Name string `json:"name"`
	// Rate is how many are due in a second, on average.
	Rate float64 `json:"rate"`
	// Path and Fields, lines such as "X-Crawler: 1", make the request, a GET.
	Path   string   `json:"path"`
	Fields []string `json:"fields,omitempty"`
	// Patience is after how long, counted from when it was due, a request is given
	// up: its connection is closed.
	Patience time.Duration `json:"patience"`
}

// Clients are whoever sends.
type Clients struct {
	Address string
	Streams []Stream
	// For is how long requests become due, and WarmUp how long of it doesn't count.
	For, WarmUp time.Duration
	// Connections is how many there are at most. A request for which none is free
	// waits, and that is part of its latency.
	Connections int
	// Closed has each connection send the next request once the one before is
	// answered, as fast as that goes, in place of a rate; the streams take turns.
	Closed bool
	Seed   uint64
}

// Outcome is what became of the requests of one stream.
type Outcome struct {
	Stream string `json:"stream"`
	// Due is how many should have been sent.
	Due int `json:"due"`
	// Answered counts by status; GivenUp and Failed had no answer.
	Answered map[int]int `json:"answered"`
	GivenUp  int         `json:"given_up"`
	Failed   int         `json:"failed"`
	// Latencies of the answers with status 200, sorted.
	Latencies []time.Duration `json:"latencies"`
	// Over is for how long they were due.
	Over time.Duration `json:"over"`
}

// Within is how many good answers a second came within a bound.
func (o Outcome) Within(bound time.Duration) float64 {
	n, _ := slices.BinarySearch(o.Latencies, bound+1)
	return float64(n) / o.Over.Seconds()
}

// Quantile of the latency of good answers; 0 without any.
func (o Outcome) Quantile(q float64) time.Duration {
	if len(o.Latencies) == 0 {
		return 0
	}
	return o.Latencies[min(int(q*float64(len(o.Latencies))), len(o.Latencies)-1)]
}

// Send sends and waits for the last answer or the end of patience.
func (c Clients) Send(ctx context.Context) ([]Outcome, error) {
	if c.For <= c.WarmUp || c.Connections < 1 || len(c.Streams) == 0 {
		return nil, fmt.Errorf("clients need streams, a connection, and a time that is longer than the warm-up")
	}
	s := &sending{Clients: c, idle: make(chan *connection, c.Connections)}
	for range c.Connections {
		s.idle <- &connection{address: c.Address}
	}
	defer s.close()
	outcomes := make([]Outcome, len(c.Streams))
	var streams sync.WaitGroup
	begin := time.Now()
	for i, stream := range c.Streams {
		outcomes[i] = Outcome{Stream: stream.Name, Answered: map[int]int{}, Over: c.For - c.WarmUp}
		random := rand.New(rand.NewPCG(c.Seed, uint64(i))) //nolint:gosec // repeatable load
		streams.Go(func() {
			if c.Closed {
				s.closed(ctx, begin, stream, c.Connections/len(c.Streams), &outcomes[i])
			} else {
				s.open(ctx, begin, stream, random, &outcomes[i])
			}
			slices.SortFunc(outcomes[i].Latencies, cmp.Compare[time.Duration])
		})
	}
	streams.Wait()
	return outcomes, ctx.Err()
}

type sending struct {
	Clients
	idle chan *connection
}

func (s *sending) close() {
	for range s.Connections {
		(<-s.idle).drop()
	}
}

// request is what is sent, each time anew.
func (s Stream) request(host string) []byte {
	request := []byte(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n", s.Path, host))
	for _, field := range s.Fields {
		request = append(request, field+"\r\n"...)
	}
	return append(request, "\r\n"...)
}

// closed sends one request after the other on each of n connections.
func (s *sending) closed(ctx context.Context, begin time.Time, stream Stream, n int, into *Outcome) {
	request := stream.request(s.Address)
	var (
		mu      sync.Mutex
		senders sync.WaitGroup
	)
	for range n {
		senders.Go(func() {
			for ctx.Err() == nil && time.Since(begin) < s.For {
				at := time.Now()
				status, err := s.one(ctx, at, request, stream.Patience)
				took := time.Since(at)
				if at.Sub(begin) < s.WarmUp {
					continue
				}
				mu.Lock()
				into.count(status, err, took, stream.Patience)
				mu.Unlock()
			}
		})
	}
	senders.Wait()
}

// open sends one stream's requests when they are due, each on a goroutine of its own.
func (s *sending) open(ctx context.Context, begin time.Time, stream Stream, random *rand.Rand, into *Outcome) {
	request := stream.request(s.Address)
	var (
		mu   sync.Mutex
		sent sync.WaitGroup
	)
	if stream.Rate <= 0 {
		return
	}
	for due := time.Duration(0); ; {
		due += time.Duration(random.ExpFloat64() / stream.Rate * float64(time.Second))
		if due >= s.For || !sleepUntil(ctx, begin.Add(due)) {
			break
		}
		at := begin.Add(due)
		sent.Go(func() {
			status, err := s.one(ctx, at, request, stream.Patience)
			took := time.Since(at)
			if at.Sub(begin) < s.WarmUp {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			into.count(status, err, took, stream.Patience)
		})
	}
	sent.Wait()
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

func (o *Outcome) count(status int, err error, took, patience time.Duration) {
	o.Due++
	switch {
	case err != nil && took >= patience:
		o.GivenUp++
	case err != nil:
		o.Failed++
	default:
		o.Answered[status]++
		if status == 200 {
			o.Latencies = append(o.Latencies, took)
		}
	}
}

// one sends a request on the first connection that is free.
func (s *sending) one(ctx context.Context, due time.Time, request []byte, patience time.Duration) (int, error) {
	end := due.Add(patience)
	wait, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	var c *connection
	select {
	case c = <-s.idle:
	default:
		select {
		case c = <-s.idle:
		case <-wait.Done():
			return 0, wait.Err()
		}
	}
	defer func() { s.idle <- c }()
	return c.roundTrip(wait, end, request)
}

// connection is one to the program under test, opened when it is first needed.
type connection struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

func (c *connection) drop() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = nil
}

func (c *connection) roundTrip(ctx context.Context, end time.Time, request []byte) (int, error) {
	fresh := c.conn == nil
	status, err := c.try(ctx, end, request)
	// A connection that was kept may have been closed meanwhile: what was not
	// answered at all is sent once more, as clients do.
	if err != nil && !fresh && ctx.Err() == nil && time.Now().Before(end) {
		status, err = c.try(ctx, end, request)
	}
	return status, err
}

func (c *connection) try(ctx context.Context, end time.Time, request []byte) (status int, err error) {
	defer func() {
		if err != nil {
			c.drop()
		}
	}()
	if c.conn == nil {
		if c.conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", c.address); err != nil {
			return 0, err
		}
		if c.reader == nil {
			c.reader = bufio.NewReader(c.conn)
		}
		c.reader.Reset(c.conn)
	}
	if err = c.conn.SetDeadline(end); err != nil {
		return 0, err
	}
	if _, err = c.conn.Write(request); err != nil {
		return 0, err
	}
	h, err := readHead(c.reader)
	if err == nil {
		err = h.skipBody(c.reader)
	}
	if err == nil && h.closing {
		c.drop()
	}
	return h.status, err
}
