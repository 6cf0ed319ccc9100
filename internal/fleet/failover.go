package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// turn remembers which address answered last.
type turn struct{ at atomic.Int32 }

// call makes one request of the address whose turn it is and, where that one
// can't answer, of the others, each once and each within the limit. Where none
// could because Consul is busy, they are asked again after a pause, for as long as
// one request may take. The request may so be made more than once.
func (c *Client) call(ctx context.Context, t *turn, what string, limit time.Duration, request func(context.Context, *api.Client) error) error {
	return c.patiently(ctx, limit, func(limit time.Duration) error {
		return c.round(ctx, t, what, limit, request)
	})
}

// patiently repeats what fails because Consul is busy, for as long as one request
// may take. A blocking query has a limit that leaves it time to wait for a change.
// What the last attempt had too little time for says less than that it is busy.
func (c *Client) patiently(ctx context.Context, limit time.Duration, once func(limit time.Duration) error) error {
	began, pace := time.Now(), busyPace()
	var busy error
	for left := limit; ; {
		err := once(left)
		if busy != nil && errors.Is(err, context.DeadlineExceeded) {
			return busy
		}
		if !mayPass(err) {
			return err
		}
		busy = err
		pause := pace.NextBackOff()
		left = limit - time.Since(began) - pause
		if left <= max(0, limit-c.cfg.Timeout) || wait.For(ctx, pause) != nil {
			return err
		}
	}
}

// round asks each address once.
func (c *Client) round(ctx context.Context, t *turn, what string, limit time.Duration, request func(context.Context, *api.Client) error) error {
	first := int(t.at.Load())
	var failures []error
	for i := range c.endpoints {
		at := (first + i) % len(c.endpoints)
		err := c.attempt(ctx, at, limit, request)
		if err == nil {
			t.at.Store(int32(at))
			return nil
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("%s: %w", what, ctx.Err())
		}
		if !isElsewhere(err) {
			return fmt.Errorf("%s at %s: %w", what, c.endpoints[at].address, err)
		}
		failures = append(failures, fmt.Errorf("%s: %w", c.endpoints[at].address, err))
		if ctx.Err() != nil {
			break
		}
	}
	return &unreachableError{what: what, failures: failures}
}

// attempt makes the request of one address, a second time where all that failed
// was a connection kept open from before the server restarted.
func (c *Client) attempt(ctx context.Context, at int, limit time.Duration, request func(context.Context, *api.Client) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded))
	defer cancel()
	err := request(ctx, c.endpoints[at].api)
	if isStale(err) {
		err = request(ctx, c.endpoints[at].api)
	}
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// isElsewhere says whether another address may do better: it may where none was
// reached, or where the one reached can't serve just now.
func isElsewhere(err error) bool {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.code >= 500 || refused.code == http.StatusTooManyRequests
	}
	if _, ok := errors.AsType[api.StatusError](err); ok {
		return false
	}
	return !errors.Is(err, errAnswered)
}

// errAnswered marks an error that Consul gave as its answer, in words rather
// than by status.
var errAnswered = errors.New("consul refused")

// statusTransport makes errors of the answers that mean the server can't or
// won't serve, since the API client tells some of those by text only. "Not
// found" and "conflict" are answers like others.
type statusTransport struct{ base http.RoundTripper }

// refusedError is such an answer.
type refusedError struct {
	code int
	body string
}

func (e *refusedError) Error() string {
	if e.code == http.StatusTooManyRequests {
		return fmt.Sprintf("answered %d: %s; %s", e.code, e.body, advice(e.body))
	}
	return fmt.Sprintf("answered %d: %s", e.code, e.body)
}

func (e *refusedError) Unwrap() error {
	switch e.code {
	case http.StatusForbidden:
		return ErrDenied
	case http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	}
	return nil
}

// RoundTrip implements http.RoundTripper.
func (t statusTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	var connection fresh
	resp, err := t.base.RoundTrip(connection.trace(r))
	if err != nil {
		return nil, connection.judge(r, err)
	}
	switch {
	case resp.StatusCode < 400, resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusConflict:
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 512))
	err = errors.Join(err, resp.Body.Close())
	if err != nil {
		return nil, err
	}
	return nil, &refusedError{code: resp.StatusCode, body: strings.TrimSpace(string(body))}
}

// query are the options of a consistent read: one that a majority of the
// servers stands behind.
func query(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

func write(ctx context.Context) *api.WriteOptions {
	return (&api.WriteOptions{}).WithContext(ctx)
}
