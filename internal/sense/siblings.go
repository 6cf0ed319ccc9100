package sense

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	defaultSiblingTimeout = time.Second
	leastConcurrency      = 32
	concurrencyShare      = 0.2
	defaultVitalsBytes    = 1 << 20
	// defaultVitalsAge is three beats of the default length.
	defaultVitalsAge = 15 * time.Second
)

// ErrImpostor is the state of an address at which another cell, or another
// incarnation of it, answers than the one registered there.
var ErrImpostor = errors.New("another cell answers at this address")

// ErrStale is the state of vitals too old to decide by.
var ErrStale = errors.New("the vitals are too old")

// Sibling is where the sidecar of a cell serves its vitals.
type Sibling struct {
	Service, Cell, Incarnation string
	// URL is the base address of the sidecar, as registered.
	URL string
}

// Result is the answer of one sibling: its vitals, or why there are none.
type Result struct {
	Sibling
	Vitals Vitals
	Err    error
	// Old says why the vitals are not of now but the last ones, which stand in; nil
	// where they are of now. They tell of rates, not of what a cell does now.
	Old error
}

// SiblingsConfig bounds what asking the siblings may cost.
type SiblingsConfig struct {
	// Timeout bounds each sibling's answer. Default 1 s.
	Timeout time.Duration
	// Concurrency is how many are asked at once. Default 32, and with more than 160
	// siblings a fifth of them: a tenth may be silent and the rest still answers within
	// one timeout.
	Concurrency int
	// MaxBytes bounds an answer. Default 1 MiB.
	MaxBytes int64
	// MaxAge is how old vitals may be. Default 15 s.
	MaxAge time.Duration
	// Sign makes of a transport one that signs requests and proves answers; nil
	// where that isn't asked for.
	Sign func(http.RoundTripper) http.RoundTripper
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Siblings asks the cells of a service for their vitals.
type Siblings struct {
	cfg    SiblingsConfig
	client *http.Client
}

// NewSiblings fills in the defaults. It connects to nothing.
func NewSiblings(cfg SiblingsConfig) *Siblings {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultSiblingTimeout
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultVitalsBytes
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = defaultVitalsAge
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	client := newHTTPClient(1)
	if cfg.Sign != nil {
		client.Transport = cfg.Sign(client.Transport)
	}
	return &Siblings{cfg: cfg, client: client}
}

// Gather asks all siblings and returns an entry for each, in their order. It
// ends with the context at the latest; who has not answered by then is a result
// with an error, like who answered wrongly.
func (s *Siblings) Gather(ctx context.Context, siblings []Sibling) []Result {
	results := make([]Result, len(siblings))
	next := make(chan int)
	var wg sync.WaitGroup
	for range s.concurrency(len(siblings)) {
		wg.Go(func() {
			for i := range next {
				results[i] = s.ask(ctx, siblings[i])
			}
		})
	}
	for i := range siblings {
		next <- i
	}
	close(next)
	wg.Wait()
	return results
}

// concurrency is how many of n are asked at once.
func (s *Siblings) concurrency(n int) int {
	if s.cfg.Concurrency > 0 {
		return min(s.cfg.Concurrency, n)
	}
	return min(max(leastConcurrency, int(concurrencyShare*float64(n))), n)
}

// ask fetches the vitals of one sibling.
func (s *Siblings) ask(ctx context.Context, sib Sibling) Result {
	r := Result{Sibling: sib}
	if err := checkURL(sib.URL); err != nil {
		r.Err = fmt.Errorf("ask %s for its vitals: %w", sib.Cell, err)
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	address := strings.TrimSuffix(sib.URL, "/") + VitalsPath
	err := fetch(ctx, s.client, address, "application/json", s.cfg.MaxBytes, func(body io.Reader) error {
		v, err := DecodeVitals(body, s.cfg.Now())
		if err == nil {
			err = s.accept(sib, v)
		}
		r.Vitals = v
		return err
	})
	if err != nil {
		r.Vitals, r.Err = Vitals{}, fmt.Errorf("ask %s for its vitals at %s: %w", sib.Cell, sib.URL, err)
	}
	return r
}

// accept says why vitals are not those that were asked for.
func (s *Siblings) accept(sib Sibling, v Vitals) error {
	if v.Service != sib.Service || v.Cell != sib.Cell || v.Incarnation != sib.Incarnation {
		return fmt.Errorf("%w: %s.%s of service %q instead of %s.%s of %q",
			ErrImpostor, v.Cell, v.Incarnation, v.Service, sib.Cell, sib.Incarnation, sib.Service)
	}
	if v.Age > s.cfg.MaxAge {
		return fmt.Errorf("%w: %v, at most %v", ErrStale, v.Age.Round(time.Millisecond), s.cfg.MaxAge)
	}
	return nil
}

// Close ends idle connections.
func (s *Siblings) Close() { s.client.CloseIdleConnections() }
