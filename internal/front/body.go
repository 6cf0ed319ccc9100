package front

import (
	"io"
	"net/http"
	"sync"
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
