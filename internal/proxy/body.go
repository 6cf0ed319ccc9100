package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// What can be wrong with a request's body.
var (
	errTooLarge  = errors.New("the body is larger than this proxy lets through")
	errSlow      = errors.New("the body comes too slowly")
	errMalformed = errors.New("the body can't be read")
	errClosed    = errors.New("the body was read after the answer")
)

// body is a request's body that must not be too large nor come too slowly. Only the
// time spent waiting for the sender counts, and not that in which the application
// takes nothing. The transport may read it after the answer.
type body struct {
	from    io.ReadCloser
	control *http.ResponseController // whose read deadline bounds a read
	left    int64                    // bytes that may still come
	grace   time.Duration
	rate    int // bytes per second
	now     func() time.Time

	mu    sync.Mutex
	read  int64
	spent time.Duration
	ended time.Time // when the whole body was there
	err   error     // why it can't be read
	// released says that the deadline is the server's.
	released bool
}

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	err, released, begun := b.err, b.released, b.now()
	allowed := b.grace + time.Duration(float64(b.read)/float64(b.rate)*float64(time.Second)) - b.spent
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if allowed <= 0 {
		return 0, b.fail(errSlow)
	}
	if !released {
		_ = b.control.SetReadDeadline(begun.Add(allowed)) // a writer of a test may have none
	}
	n, err := b.from.Read(p)
	if !b.isReleased() {
		// While nobody reads nobody is slow; HTTP/2 would end the body all the same.
		_ = b.control.SetReadDeadline(time.Time{}) // as above
	}
	return n, b.account(n, err, begun)
}

// account counts what was read, and turns what went wrong into this package's errors.
func (b *body) account(n int, err error, begun time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.read += int64(n)
	b.left -= int64(n)
	b.spent += now.Sub(begun)
	switch {
	case b.left < 0:
		err = errTooLarge
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		b.ended = now
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errSlow
	default:
		err = errors.Join(errMalformed, err)
	}
	b.err = err
	return err
}

func (b *body) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
	return err
}

// Close has later reads fail. The server closes the body itself, which may have to
// read the rest of it.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
	if b.err == nil {
		b.err = errClosed
	}
	return nil
}

// release leaves the connection's deadline to the server, which reads the rest.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
}

func (b *body) isReleased() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.released
}

// state is when the whole body was there, zero if it wasn't, and what was wrong with it.
func (b *body) state() (ended time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(b.err, io.EOF) || errors.Is(b.err, errClosed) {
		return b.ended, nil
	}
	return b.ended, b.err
}
