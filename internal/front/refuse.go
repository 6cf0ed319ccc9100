package front

import (
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// errFull says that the front has as many requests in hand as it may.
var errFull = errors.New("this front has too many requests in hand")

// refuse answers a request that no cell has answered.
func (f *Front) refuse(w http.ResponseWriter, r *http.Request, err error) {
	// A client that is slow has its request's context ended, too.
	if r.Context().Err() != nil && !visitOf(r).broken() { // Nobody is left to tell.
		f.metrics.refused("gone")
		w.WriteHeader(statusClientGone)
		return
	}
	status, why, text := http.StatusBadGateway, "failed", "The server that had your request could not answer it."
	switch {
	case visitOf(r).broken():
		status, why, text = http.StatusBadRequest, "client", "What you sent could not be read."
		if visitOf(r).sent.slow.Load() {
			status, text = http.StatusRequestTimeout, "What you sent came too slowly."
		}
	case errors.Is(err, errFull):
		status, why, text = http.StatusServiceUnavailable, "full", "Too many requests are in hand just now."
	case errors.Is(err, errNoCell):
		status, why, text = http.StatusServiceUnavailable, "no_cell", f.noCell()
	case timedOut(err):
		status, why, text = http.StatusGatewayTimeout, "slow", "The server that had your request took too long."
	case unreached(err):
		status, why, text = http.StatusServiceUnavailable, "unreached", "No server could be reached just now."
	}
	f.metrics.refused(why)
	f.cfg.Log.DebugContext(r.Context(), "request not answered", "service", f.cfg.Service, "path", r.URL.Path, "error", err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(1+int(time.Now().UnixNano()%3))) // so that not all come back at once
	}
	w.Header().Set("Cache-Control", "no-store")
	page(w, r, status, text)
}

// statusClientGone is nginx's code for a client that didn't wait.
const statusClientGone = 499

// noCell says why there is none.
func (f *Front) noCell() string {
	age, told := f.cells.age()
	members, healthy := f.cells.size()
	switch {
	case !told:
		return fmt.Sprintf("Which servers %s has is not known yet: Consul has not answered.", f.cfg.Service)
	case members == 0:
		return fmt.Sprintf("%s has no server just now.", f.cfg.Service)
	case healthy == 0:
		return fmt.Sprintf("None of the %d servers of %s is well, as of %v ago.", members, f.cfg.Service, age.Round(time.Second))
	}
	return fmt.Sprintf("None of the %d servers of %s could take your request.", members, f.cfg.Service)
}

// page is for people where they ask for HTML, else a line of text.
func page(w http.ResponseWriter, r *http.Request, status int, text string) {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Error(w, title+": "+text, status)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><meta charset="utf-8"><title>%[1]s</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}</style>
<h1>%[1]s</h1><p>%[2]s</p><p>Please try again in a moment.</p></html>
`, title, html.EscapeString(text)) // who asks may have gone away
}

// timedOut reports whether a cell took too long, to connect aside.
func timedOut(err error) bool {
	if unreached(err) {
		return false
	}
	net, ok := errors.AsType[net.Error](err)
	return ok && net.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// httpLog takes the lines that net/http logs, which are about single clients.
type httpLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (l httpLog) Write(p []byte) (int, error) {
	l.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}

// buffers are for copying answers.
type buffers struct{ pool sync.Pool }

const bufferBytes = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[]byte); ok {
		return *buffer
	}
	return make([]byte, bufferBytes)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
