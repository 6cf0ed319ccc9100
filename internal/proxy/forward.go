package proxy

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/callers"
)

// outbound is a request on its way to the application, in one piece of memory. It is
// not used again: a transport may look at it after it has answered.
type outbound struct {
	request http.Request
	url     url.URL
	body    body
	hop     [3]string
}

// prepare makes the request that goes to the application, or to a sibling, of one that
// came. Their headers are the same map: nobody looks at the first one any more.
func (p *Proxy) prepare(w http.ResponseWriter, r *http.Request, scheme, host string) *outbound {
	o := &outbound{request: *r, url: *r.URL}
	o.url.Scheme, o.url.Host = scheme, host
	o.request.URL, o.request.RequestURI, o.request.Close = &o.url, "", false
	trailers := hasToken(r.Header["Te"], "trailers")
	removeHopByHop(r.Header)
	if trailers {
		r.Header["Te"] = []string{"trailers"}
	}
	callers.Forward(r.Header, r, p.trusted, &o.hop)
	if _, named := r.Header["User-Agent"]; !named {
		r.Header["User-Agent"] = nil // or the transport would name itself
	}
	if r.ContentLength == 0 {
		o.request.Body = nil
		return o
	}
	b := &p.policy.Bounds
	o.body = body{
		from: r.Body, control: http.NewResponseController(w), left: int64(b.BodyBytes),
		grace: b.Grace, rate: b.Rate, now: time.Now,
	}
	o.request.Body = &o.body
	return o
}

// bodyState is when the whole of the request's body was there, and what was wrong
// with it.
func (o *outbound) bodyState() (time.Time, error) {
	if o == nil || o.request.Body == nil {
		return time.Time{}, nil
	}
	return o.body.state()
}

// pass gives an answer to the caller. An answer whose length isn't known beforehand
// may be a stream: its head and each piece go on at once. It returns an error of an answer that
// broke off. Once the application has given all of it whole is called, be it that the
// caller has much to take yet; abort ends its reading. Both are nil where nobody waits
// for that: then it is read as the caller takes it.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, o *outbound, res *http.Response, whole, abort func()) error {
	if ended, _ := o.bodyState(); ended.IsZero() && r.ProtoMajor == 1 {
		// It is answered before its body was read, which the server does now.
		o.body.release()
		p.boundRest(w, r)
	}
	removeHopByHop(res.Header)
	h := w.Header()
	for name, values := range res.Header {
		h[name] = values
	}
	announced := len(res.Trailer)
	for name := range res.Trailer {
		h.Add("Trailer", name)
	}
	w.WriteHeader(res.StatusCode)
	stream := res.ContentLength == -1 || announced > 0
	if res.ContentLength == 0 {
		p.boundAnswer(w)
	} else if err := p.copy(w, res, stream, whole, abort); err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil { // fills in the trailers
		return err
	}
	for name, values := range res.Trailer {
		if announced != len(res.Trailer) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
	return nil
}

// copy gives a body to the caller, piece by piece: the first at once or, if it is known to
// be all, once it was read, and what comes after as much as one by reading ahead.
func (p *Proxy) copy(w http.ResponseWriter, res *http.Response, stream bool, whole, abort func()) error {
	s := &sending{p: p, w: w, control: http.NewResponseController(w), stream: stream}
	if stream {
		// Its first piece may be long in coming, and the caller has to know that it has begun.
		if err := s.begin(); err != nil {
			return err
		}
	}
	piece, _ := pieces.Get().(*[pieceBytes]byte) // the pool holds nothing else
	defer pieces.Put(piece)
	var from io.Reader = res.Body
	if !stream && res.ContentLength <= pieceBytes {
		from = &filling{from}
	}
	for passed := 0; passed < pieceBytes || whole == nil; {
		n, err := from.Read(piece[:])
		if err == io.EOF && whole != nil {
			whole()
		}
		if err := s.write(piece[:n]); err != nil {
			return err
		}
		passed += n
		switch err {
		case nil:
		case io.EOF:
			s.end()
			return nil
		default:
			return err
		}
	}
	return s.ahead(from, whole, abort)
}

// filling reads until there is no more room, or nothing more comes.
type filling struct{ from io.Reader }

// Read implements io.Reader.
func (f *filling) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var more int
		more, err = f.from.Read(p[n:])
		n += more
	}
	return n, err
}

// isUpgrade says whether a request asks for another protocol, such as WebSocket. HTTP/2
// is none that may be passed on: what is asked in it would go by the gate unseen. Such a
// request is answered as if it had not asked, which is what RFC 9113 has removed it for.
func isUpgrade(r *http.Request) bool {
	return len(r.Header["Upgrade"]) > 0 && hasToken(r.Header["Connection"], "upgrade") && !hasToken(r.Header["Upgrade"], "h2c")
}

// isEventStream says whether an answer is a stream of events, which ends when the caller
// leaves. It would keep its place for so long though the application rests, and a few
// of them all places.
func isEventStream(res *http.Response) bool {
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// address splits the base of a sibling into scheme and host; "" for one that is none.
func address(base string) (scheme, host string) {
	scheme, host, _ = strings.Cut(base, "://")
	host = strings.TrimSuffix(host, "/")
	if scheme != "http" && scheme != "https" || strings.ContainsAny(host, "/?#@") {
		return "", ""
	}
	return scheme, host
}
