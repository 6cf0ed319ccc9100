package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// fault is why a request had no answer of the application.
type fault struct {
	status int // 0: nobody is there to be told
	cause  string
	// away says that the application is not there at all.
	away bool
	// slow says that it is there and took longer than it may.
	slow bool
}

// judge tells what went wrong on the way to the application.
func judge(ctx context.Context, err, body error) fault {
	var dial *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(body, errTooLarge):
		return fault{status: http.StatusRequestEntityTooLarge, cause: body.Error()}
	case errors.Is(body, errSlow):
		return fault{status: http.StatusRequestTimeout, cause: body.Error()}
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), errEnding):
		return fault{status: http.StatusServiceUnavailable, cause: errEnding.Error()}
	case body != nil:
		return fault{status: http.StatusBadRequest, cause: body.Error()}
	case ctx.Err() != nil:
		return fault{}
	case errors.As(err, &dial) && dial.Op == "dial":
		return fault{status: http.StatusServiceUnavailable, cause: "the application isn't there (yet, or any more): " + dial.Err.Error(), away: true}
	case errors.As(err, &timeout) && timeout.Timeout():
		return fault{status: http.StatusGatewayTimeout, cause: "the application did not answer in time", slow: true}
	default:
		return fault{status: http.StatusBadGateway, cause: "the application broke off: " + err.Error()}
	}
}

// errUnasked is an answer that nobody can make anything of.
var errUnasked = errors.New("it switched to another protocol unasked")

// errEnding is why what is left at the end of a drain is cut.
var errEnding = errors.New("this cell ends")

// refuse answers that there is no room. Who comes again at a random time doesn't come
// in step with all others that were refused.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, status int, cause string) {
	after := float64(p.policy.RetryAfter) * (0.5 + rand.Float64())
	seconds := max(1, int(time.Duration(after).Seconds()+0.5))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	p.say(w, r, status, cause)
}

// boundRest bounds the time for what is still to come of a request's body that nobody
// reads: the server reads some of it before it answers.
func (p *Proxy) boundRest(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.policy.Bounds.Grace)) // a writer of a test may have none
	}
}

// boundAnswer bounds the time for what the server still has to write of an answer. Who
// asks and never reads would keep the connection for ever, however little it was told.
func (p *Proxy) boundAnswer(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * p.policy.Bounds.Grace)) // as above
}

// say answers with a cause, which no cache may keep.
func (p *Proxy) say(w http.ResponseWriter, r *http.Request, status int, cause string) {
	p.boundRest(w, r)
	p.boundAnswer(w)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%d %s: %s\n", status, http.StatusText(status), cause) // who has gone needs no cause
}
