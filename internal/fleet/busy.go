package fleet

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// What to do about an agent that takes no more.
const (
	fewerConnections = "close some connections of this host to it, or raise limits.http_max_conns_per_client (200 by default) in its configuration"
	fewerRequests    = "ask less of it at once, or raise limits.request_limits in its configuration"
)

// busyPace is the pace at which a busy Consul is asked again, from a tenth of a
// second to one second, with jitter: others are turned away at the same time.
func busyPace() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = 100*time.Millisecond, time.Second, 2, 0.3
	b.Reset()
	return b
}

// advice says what to do about a status of 429.
func advice(body string) string {
	if strings.Contains(body, "concurrent connections") {
		return fewerConnections
	}
	return fewerRequests
}

// shutError is a new connection that ended without an answer. An agent that has
// too many of one host says 429 and hangs up before it reads anything. What comes
// of that depends on which is seen first: the 429, an answer before there was
// a question, or the end.
type shutError struct {
	err error
	// unasked is set when the answer was there before the question.
	unasked bool
	// read is set when the request changes nothing.
	read bool
}

func (e *shutError) Error() string {
	if e.unasked {
		return "it hung up before it was asked anything, as an agent does that has too many connections of this host: " + fewerConnections
	}
	return fmt.Sprintf("it hung up on a new connection (%v); if it has too many of this host: %s", e.err, fewerConnections)
}

func (e *shutError) Unwrap() error { return e.err }

// isBusy says whether Consul turned a request away unread, for having too much
// to do: it may be made again in a moment, whatever it is.
func isBusy(err error) bool {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.code == http.StatusTooManyRequests
	}
	shut, ok := errors.AsType[*shutError](err)
	return ok && shut.unasked
}

// mayPass says whether it is worth while to wait a moment and ask again. An end
// without a word may have been that of an agent which did what it was asked, so
// then only what changes nothing is asked again.
func mayPass(err error) bool {
	if missed, ok := errors.AsType[*unreachableError](err); ok {
		return slices.ContainsFunc(missed.failures, mayPass)
	}
	shut, ok := errors.AsType[*shutError](err)
	return isBusy(err) || ok && shut.read
}

// fresh follows a request, to tell whether it had a new connection.
type fresh struct{ atomic.Bool }

func (f *fresh) trace(r *http.Request) *http.Request {
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { f.Store(!info.Reused) },
	}))
}

// judge tells the end of a new connection from other errors.
func (f *fresh) judge(r *http.Request, err error) error {
	// net/http has only words for these two.
	unasked := strings.Contains(err.Error(), "readLoopPeekFailLocked: %!w(<nil>)")
	ended := isStale(err) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "server closed idle connection")
	if r.Context().Err() != nil || !f.Load() || !unasked && !ended {
		return err
	}
	return &shutError{err: err, unasked: unasked, read: r.Method == http.MethodGet}
}

// isStale says whether an error may be that of a kept connection only.
func isStale(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
