package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// links are connections to the application for requests that ask for something and
// bring no body: GET and HEAD. Such a request is written and its answer read by the
// goroutine that has it, where http.Transport hands both to others and back: a third
// less work for a request. All else goes by the transport.
//
// A link that was idle may have been closed by the application meanwhile. Then nothing
// comes back, and the request is sent once more by a new one: these methods are safe
// to repeat (RFC 9110, 9.2.1).
type links struct {
	address string
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	answer  time.Duration // until an answer begins
	keep    time.Duration // how long a link may be idle
	most    int           // idle ones

	mu       sync.Mutex
	idle     []*link // the one used last is the last
	sweeping *time.Timer
	closed   bool
}

// link is one connection.
type link struct {
	conn    net.Conn
	limited io.LimitedReader // bounds the head of an answer
	r       *bufio.Reader
	w       *bufio.Writer
	since   time.Time // idle
}

const (
	// longestHead is the most bytes of an answer's head.
	longestHead = 1 << 20
	linkBuffer  = 4 << 10
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// direct says whether a request may go by a link.
func direct(r *http.Request) bool {
	return r.ContentLength == 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead) && len(r.Trailer) == 0 && len(r.Header["Expect"]) == 0
}

// call is an answer that has begun, and the link it comes by.
type call struct {
	res  *http.Response
	link *link
	stop func() bool // following the caller
	from *links
}

// do sends a request and returns once its answer has begun.
func (p *links) do(ctx context.Context, r *http.Request) (*call, error) {
	for fresh := false; ; fresh = true {
		l, reused, err := p.get(ctx, fresh)
		if err != nil {
			return nil, err
		}
		// The caller's end ends reading and writing, whichever it is.
		stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(past) }) // one that is closed has ended anyway
		res, silent, err := l.exchange(ctx, r, p.answer)                        //nolint:bodyclose // who takes the call reads and closes it
		if err == nil {
			return &call{res, l, stop, p}, nil
		}
		stop()
		_ = l.conn.Close() // it is of no use any more
		if !reused || !silent || ctx.Err() != nil {
			return nil, err
		}
	}
}

// abort ends the reading of the answer.
func (c *call) abort() { _ = c.link.conn.SetDeadline(past) } // as in do

// end gives the link back, if the answer was read to its end and another may follow.
func (c *call) end(whole bool) {
	if !c.stop() || !whole || c.res.Close || c.link.r.Buffered() > 0 {
		_ = c.link.conn.Close() // it is of no use any more
		return
	}
	c.from.put(c.link)
}

// exchange writes a request and reads the head of its answer. Silent says that it
// failed before anything came back, and not because time was over.
func (l *link) exchange(ctx context.Context, r *http.Request, answer time.Duration) (res *http.Response, silent bool, err error) {
	l.limited.N = longestHead
	_ = l.conn.SetDeadline(time.Now().Add(answer)) // the caller's end is looked at below
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if err := l.write(r); err != nil {
		return nil, !timedOut(err), err
	}
	if _, err := l.r.Peek(1); err != nil {
		return nil, !timedOut(err), err
	}
	for {
		if res, err = http.ReadResponse(l.r, r); err != nil {
			return nil, false, err
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			break // those before are interim
		}
	}
	l.limited.N = math.MaxInt64
	_ = l.conn.SetDeadline(time.Time{}) // an answer may take its time
	return res, false, ctx.Err()        // it may have ended just before
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// write writes a request's head. Names and values of headers are those that a server
// has read, or this package has set: there are no line ends in them.
func (l *link) write(r *http.Request) error {
	w := l.w
	for _, text := range [...]string{r.Method, " ", r.URL.RequestURI(), " HTTP/1.1\r\nHost: ", r.Host, "\r\n"} {
		_, _ = w.WriteString(text) // Flush returns the first error
	}
	for name, values := range r.Header {
		if name == "Content-Length" {
			// There is no body. HTTP/2 lets a request without one say another length,
			// and the application would take the next request for it.
			continue
		}
		for _, value := range values {
			_, _ = w.WriteString(name) // as above
			_, _ = w.WriteString(": ")
			_, _ = w.WriteString(value)
			_, _ = w.WriteString("\r\n")
		}
	}
	_, _ = w.WriteString("\r\n") // as above
	return w.Flush()
}

// get returns an idle link, or a new one.
func (p *links) get(ctx context.Context, fresh bool) (l *link, reused bool, err error) {
	if !fresh {
		if l := p.take(); l != nil {
			return l, true, nil
		}
	}
	c, err := p.dial(ctx, "tcp", p.address)
	if err != nil {
		return nil, false, err
	}
	l = &link{conn: c, limited: io.LimitedReader{R: c}}
	l.r, l.w = bufio.NewReaderSize(&l.limited, linkBuffer), bufio.NewWriterSize(c, linkBuffer)
	return l, false, nil
}

// take returns the idle link used last that nothing came by meanwhile, or nil.
func (p *links) take() *link {
	for {
		l := p.last()
		if l == nil || l.quiet() {
			return l
		}
		_ = l.conn.Close() // as in end
	}
}

func (p *links) last() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 || time.Since(p.idle[n-1].since) >= p.keep {
		return nil
	}
	l := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return l
}

// quiet says whether the application has neither closed an idle link nor sent anything
// by it. Whatever it sent too late, such as a body after the head that HEAD asked for,
// would be taken for the answer to the next request, which is another caller's.
func (l *link) quiet() bool {
	c, ok := l.conn.(syscall.Conn)
	if !ok {
		return true // no socket: nothing but what was read can be known
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN)
	})
	return err == nil && quiet
}

func (p *links) put(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.most {
		_ = l.conn.Close() // as in end
		return
	}
	l.since = time.Now()
	p.idle = append(p.idle, l)
	if p.sweeping == nil {
		p.sweeping = time.AfterFunc(p.keep, p.sweep)
	}
}

// sweep closes the links that were idle for too long, and comes again for the others.
func (p *links) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) >= p.keep {
		_ = p.idle[n].conn.Close() // as in end
		n++
	}
	p.idle = append(p.idle[:0], p.idle[n:]...)
	p.sweeping = nil
	if len(p.idle) > 0 && !p.closed {
		p.sweeping = time.AfterFunc(p.keep-time.Since(p.idle[0].since), p.sweep)
	}
}

// close closes the idle links; those in use are closed when they come back.
func (p *links) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.idle {
		_ = l.conn.Close() // as in end
	}
	p.idle = nil
	if p.sweeping != nil {
		p.sweeping.Stop()
	}
}
