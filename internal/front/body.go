package front

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// unread is a request's body that may be offered to several cells, as long as
// none of it was read. It is closed once, when no cell is left to offer it to.
type unread struct {
	io.ReadCloser
	touched bool
}

// Read implements io.Reader.
func (u *unread) Read(p []byte) (int, error) {
	u.touched = true
	return u.ReadCloser.Read(p)
}

// sent is a request's body as the client sends it. What goes wrong with it is no fault of
// the cell's that waits for it.
type sent struct {
	io.ReadCloser
	control *http.ResponseController // whose read deadline bounds a read
	silence time.Duration
	rate    int           // bytes per second
	read    int64         // bytes that have come
	spent   time.Duration // waiting for them
	bounded bool
	rest    atomic.Bool // the deadline is the server's, which reads what is left
	failed  atomic.Bool
	slow    atomic.Bool
	closed  atomic.Bool
}

// newSent bounds all bodies but streams by HTTP/2, whose two sides may rest while the
// other speaks.
func newSent(r *http.Request, control *http.ResponseController, silence time.Duration, rate int) *sent {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	return &sent{ReadCloser: r.Body, control: control, silence: silence, rate: rate, bounded: r.ProtoMajor == 1 || r.ContentLength >= 0}
}

// bound limits the wait for what comes next, be it read by a cell or, where that has
// answered, by the server.
func (s *sent) bound(limit time.Duration) {
	if s.bounded {
		_ = s.control.SetReadDeadline(time.Now().Add(limit)) // a writer of a test may have none
	}
}

// patience is how long the next read may wait: the silence, and over the whole body no
// longer than that and what it takes at the lowest rate. While a cell takes nothing
// nobody is waited for.
func (s *sent) patience() time.Duration {
	most := s.silence + time.Duration(float64(s.read)/float64(s.rate)*float64(time.Second))
	return min(s.silence, most-s.spent)
}

// leave has the server read what is left: by HTTP/1.1 it does so before it answers.
func (s *sent) leave(r *http.Request) {
	if s != nil && r.ProtoMajor == 1 {
		s.rest.Store(true)
		s.bound(s.silence)
	}
}

// Close implements io.Closer.
func (s *sent) Close() error {
	s.closed.Store(true)
	return s.ReadCloser.Close()
}

// Read implements io.Reader. The transport may call it after the answer, when the
// deadline is that of the client's next request.
func (s *sent) Read(p []byte) (int, error) {
	if s.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	begun := time.Now()
	if !s.rest.Load() {
		s.bound(s.patience()) // once it is over, the deadline is past
	}
	n, err := s.ReadCloser.Read(p)
	s.read, s.spent = s.read+int64(n), s.spent+time.Since(begun)
	if s.bounded && !s.closed.Load() && !s.rest.Load() {
		_ = s.control.SetReadDeadline(time.Time{}) // HTTP/2 would end the body though nobody reads
	}
	if err != nil && err != io.EOF {
		s.slow.Store(errors.Is(err, os.ErrDeadlineExceeded))
		s.failed.Store(true)
	}
	return n, err
}

// broken reports whether the client's body couldn't be read.
func (s *sent) broken() bool { return s != nil && s.failed.Load() }

// untilRead is an answer's body with which the request ends.
func (f *Front) untilRead(id string, answer *http.Response) io.ReadCloser {
	end := sync.OnceFunc(func() { f.cells.with(func(now time.Time, c *Chooser) { c.Ended(now, id) }) })
	if both, ok := answer.Body.(io.ReadWriteCloser); ok { // after an upgrade
		return &endingBoth{both, end}
	}
	return &ending{answer.Body, end}
}

type ending struct {
	io.ReadCloser
	end func()
}

// Read implements io.Reader.
func (e *ending) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil {
		e.end()
	}
	return n, err
}

// Close implements io.Closer.
func (e *ending) Close() error {
	e.end()
	return e.ReadCloser.Close()
}

type endingBoth struct {
	io.ReadWriteCloser
	end func()
}

// Close implements io.Closer.
func (e *endingBoth) Close() error {
	e.end()
	return e.ReadWriteCloser.Close()
}
