package front

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

// errNoCell says that there is no cell to send a request to.
var errNoCell = errors.New("no cell can take requests")

// transport sends each request to a cell of its choice, and to another where that
// fails and the request may be sent again. It implements http.RoundTripper.
type transport struct {
	f *Front
	// plain speaks HTTP/1.1, h2 HTTP/2; both by TLS where the cells do.
	plain, h2 *http.Transport
}

// handshake is how long TLS may take beside what connecting may.
const handshake = 5 * time.Second

func newTransport(f *Front) *transport {
	rule := f.cfg.Rule
	base := func() *http.Transport {
		return &http.Transport{
			DialContext:           (&net.Dialer{Timeout: rule.DialTimeout, KeepAlive: 15 * time.Second}).DialContext,
			TLSClientConfig:       f.cfg.TLS,
			TLSHandshakeTimeout:   rule.DialTimeout + handshake,
			ResponseHeaderTimeout: rule.AnswerTimeout,
			IdleConnTimeout:       rule.IdleTimeout,
			MaxIdleConnsPerHost:   256,
			// What the cell packs, the client gets packed.
			DisableCompression: true,
		}
	}
	t := &transport{f: f, plain: base(), h2: base()}
	t.h2.Protocols = new(http.Protocols)
	t.h2.Protocols.SetUnencryptedHTTP2(true)
	t.h2.Protocols.SetHTTP2(true)
	return t
}

func (t *transport) close() {
	t.plain.CloseIdleConnections()
	t.h2.CloseIdleConnections()
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.f.budget.deposit(t.f.cfg.Now())
	v := visitOf(r)
	body := &unread{ReadCloser: r.Body}
	for {
		to, ok := t.f.pick(v)
		if !ok {
			return nil, cmpError(v.failed, errNoCell)
		}
		answer, settled, err := t.try(r, body, to)
		if settled {
			return answer, nil
		}
		v.tried = append(v.tried, to.id)
		if !t.again(r, v, body, answer, err) {
			return answer, err
		}
		v.failed = err
		why := "failed"
		if err == nil {
			if answer.StatusCode == http.StatusTooManyRequests {
				why = "refused"
			}
			v.failed = fmt.Errorf("%s answered %s", to.id, answer.Status)
			_ = answer.Body.Close() // It is another cell's answer that counts.
		}
		t.f.metrics.retries.WithLabelValues(why).Inc()
	}
}

// cmpError is what went wrong before, else what does now.
func cmpError(before, now error) error {
	if before != nil {
		return before
	}
	return now
}

// unwell are answers by which a cell, or what stands before it, says that it
// can't just now.
func unwell(status int) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// final reports whether an answer is the client's, and not one that another cell
// might better. A cell over its bound isn't the whole service; but where its report
// says that it has room for everybody, a 429 is the application's word to this client.
func final(answer *http.Response, report load.Report, reported bool) bool {
	if answer.StatusCode == http.StatusTooManyRequests {
		return reported && report.Crawlers && !report.Full()
	}
	return !unwell(answer.StatusCode)
}

// again reports whether a request is to be sent to another cell: because it
// changes nothing, or because it reached none.
func (t *transport) again(r *http.Request, v *visit, body *unread, answer *http.Response, err error) bool {
	switch {
	case len(v.tried) > t.f.cfg.Rule.Retries, r.Context().Err() != nil:
		return false
	case err != nil && unreached(err) && !body.touched:
	case !safe(r):
		return false
	case answer != nil && refusal(answer.StatusCode) && !t.f.hasOther(v):
		return false // The cell's own word is better than that nobody is left.
	}
	return t.f.budget.withdraw(t.f.cfg.Now())
}

// refusal are answers by which a cell says that it takes no more, and mostly when to come again.
func refusal(status int) bool {
	return status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
}

// unreached says that no byte of the request was sent.
func unreached(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return ok && dial.Op == "dial"
}

// safe are requests without a body that change nothing (RFC 9110, 9.2.1).
func safe(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return (r.Body == nil || r.Body == http.NoBody) && r.Header.Get("Upgrade") == ""
	}
	return false
}

// try sends a request to one cell. It counts as in flight there until its answer
// is read to the end. Settled says that there is an answer, and that no other cell's is
// wanted in its place.
func (t *transport) try(r *http.Request, body *unread, to target) (answer *http.Response, settled bool, err error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = t.f.cells.scheme(), to.address
	out.Header.Set(load.Header, load.Ask)
	// The front has chosen. A redirect would take the client away from it, to an address
	// that is perhaps for cells alone.
	out.Header.Set(load.Moved, "1")
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = io.NopCloser(body)
	}
	through := t.plain
	if t.f.cfg.Rule.H2C && r.ProtoMajor == 2 {
		through = t.h2
	}
	began := t.f.cfg.Now()
	t.f.cells.with(func(now time.Time, c *Chooser) { c.Began(now, to.id) })
	answer, err = through.RoundTrip(out)
	if err != nil {
		t.f.failed(r, to.id, err)
		return nil, false, fmt.Errorf("ask %s at %s: %w", to.id, to.address, err)
	}
	settled = t.f.answered(to.id, answer, t.f.cfg.Now().Sub(began))
	answer.Body = t.f.untilRead(to.id, answer)
	return answer, settled, nil
}

// answered takes what an answer tells of its cell, and the report out of it, and says
// whether it is settled. A cell that refuses and says that it is full is busy; any other
// that can't answer is broken.
func (f *Front) answered(id string, answer *http.Response, took time.Duration) bool {
	report, err := load.Parse(answer.Header.Get(load.Header))
	answer.Header.Del(load.Header)
	f.cells.with(func(now time.Time, c *Chooser) {
		c.Heard(id)
		if err == nil {
			c.Learn(now, id, report)
		}
		busy := answer.StatusCode == http.StatusServiceUnavailable && err == nil && report.Full()
		switch {
		case unwell(answer.StatusCode) && !busy:
			f.tellEjected(id, c.Failed(now, id), answer.Status)
		case answer.StatusCode >= http.StatusInternalServerError && !busy:
			c.Erred(now, id)
		case answer.StatusCode < http.StatusInternalServerError && answer.StatusCode != http.StatusTooManyRequests:
			c.Answered(now, id, took)
		}
	})
	f.metrics.answerSeconds.Observe(took.Seconds())
	return final(answer, report, err == nil)
}

// failed counts a request that got no answer against its cell, unless it was the client
// that went away, or whose body can't be read.
func (f *Front) failed(r *http.Request, id string, err error) {
	f.cells.with(func(now time.Time, c *Chooser) {
		c.Ended(now, id)
		if r.Context().Err() == nil && !visitOf(r).sent.broken() {
			f.tellEjected(id, c.Failed(now, id), err.Error())
		}
	})
}

func (f *Front) tellEjected(id string, ejected bool, why string) {
	if ejected {
		f.metrics.ejections.Inc()
		f.cfg.Log.Warn("the cell fails and is left alone for a while", "service", f.cfg.Service, "cell", id, "why", why)
	}
}
