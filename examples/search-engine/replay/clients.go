package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Clients ask a search engine as a trace says.
type Clients struct {
	// URL is the base URL of a front or an API.
	URL string
	// Trace is played Speed times as fast as it was, and so that there are Rate queries
	// a second on average.
	Trace       Trace
	Speed, Rate float64
	// Queries are drawn from at random; none for a few of any documentation.
	Queries []string
	// InTime is how soon an answer must be whole, counted from when the query was due;
	// after Patience its client gives up. 0 for 1 s and 5 s.
	InTime, Patience time.Duration
	// Seed makes a replay repeatable.
	Seed uint64
}

// usual are queries that any documentation of programs answers.
var usual = []string{
	"index", "search", "iterator", "byte array", "automaton", "priority queue", "sort", "exception",
	"string or number", "\"returns true\"", "class -abstract", "memory", "compare", "bits", "hash table",
}

// most is how many queries may be without an answer. One more is an error.
const most = 2000

// Replay sends until the trace is over or ctx ends, then waits for the answers that
// are due. Progress is kept in the tally while it runs.
func (c Clients) Replay(ctx context.Context, t *Tally) error {
	base, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil || base.Host == "" {
		return fmt.Errorf("%q is no URL of a search engine", c.URL)
	}
	if len(c.Trace.Counts) == 0 || c.Trace.mean() <= 0 || c.Speed <= 0 || c.Rate <= 0 {
		return errors.New("replay a trace: there are no requests in it, or speed and rate aren't above zero")
	}
	c.fill()
	transport := &http.Transport{MaxIdleConnsPerHost: most, MaxConnsPerHost: most}
	defer transport.CloseIdleConnections()
	s := &sending{Clients: c, client: &http.Client{Transport: transport}, base: base.String(), tally: t, free: make(chan struct{}, most)}
	s.run(ctx)
	return nil
}

func (c *Clients) fill() {
	if len(c.Queries) == 0 {
		c.Queries = usual
	}
	if c.InTime == 0 {
		c.InTime = time.Second
	}
	if c.Patience == 0 {
		c.Patience = 5 * time.Second
	}
}

type sending struct {
	Clients
	client *http.Client
	base   string
	tally  *Tally
	free   chan struct{}
	sent   sync.WaitGroup
}

func (s *sending) run(ctx context.Context) {
	defer s.sent.Wait()
	random := rand.New(rand.NewPCG(s.Seed, 1)) //nolint:gosec // repeatable load
	began := time.Now()
	s.tally.begin(began)
	defer s.tally.end()
	for due := range s.Trace.schedule(s.Speed, s.Rate, random.ExpFloat64) {
		at, query := began.Add(due), s.Queries[random.IntN(len(s.Queries))]
		if wait := time.Until(at); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
		select {
		case s.free <- struct{}{}:
		default:
			s.tally.count(0, fmt.Errorf("%d queries are without an answer", most), false)
			continue
		}
		s.sent.Go(func() {
			defer func() { <-s.free }()
			// What is asked is waited for, also past the end of the replay.
			err := s.ask(context.WithoutCancel(ctx), at, query)
			took := time.Since(at)
			s.tally.count(took, err, took <= s.InTime)
		})
	}
}

// ask asks one query and reads the whole answer. A redirect is followed, as browsers do.
func (s *sending) ask(ctx context.Context, due time.Time, query string) error {
	ctx, cancel := context.WithDeadline(ctx, due.Add(s.Patience))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/search?q="+url.QueryEscape(query), nil)
	if err != nil {
		return err
	}
	answer, err := s.client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err // without the address, so that errors that are alike are counted together
	}
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}
