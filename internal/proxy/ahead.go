package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// pieceBytes is how much of an answer is passed on at once.
const pieceBytes = 32 << 10

// pieces are buffers for the bodies of answers.
var pieces = sync.Pool{New: func() any { return new([pieceBytes]byte) }}

// ahead reads an answer ahead of a caller who takes it more slowly than the application
// gives it. So the application is soon done with it, and its place is another's, as
// nginx, HAProxy and Envoy do it, which take an answer into buffers that have a bound.
// Each answer has one piece in any case: where no more are free it goes on as fast as
// the caller takes it.
type ahead struct {
	from   io.Reader
	whole  func()        // told once all was read
	own    chan struct{} // holds a token while the answer's own piece is in use
	shared chan struct{} // holds one for each piece beyond, of all answers
	ready  chan read
	stop   chan struct{}
	ended  chan struct{}
}

// read is a piece that was read, and where its token lies.
type read struct {
	piece *[pieceBytes]byte
	n     int
	err   error
	token chan struct{}
}

// readAhead begins to read. The caller takes what is ready until a read with an error,
// which is io.EOF at the end, gives back each, and then calls close.
func (p *Proxy) readAhead(from io.Reader, whole func()) *ahead {
	a := &ahead{
		from: from, whole: whole, own: make(chan struct{}, 1), shared: p.shared,
		ready: make(chan read, max(1, p.policy.Bounds.Buffer/pieceBytes)),
		stop:  make(chan struct{}), ended: make(chan struct{}),
	}
	go a.run()
	return a
}

func (a *ahead) run() {
	defer close(a.ended)
	for {
		var r read
		select {
		case a.own <- struct{}{}:
			r.token = a.own
		case a.shared <- struct{}{}:
			r.token = a.shared
		case <-a.stop:
			return
		}
		r.piece, _ = pieces.Get().(*[pieceBytes]byte) // the pool holds nothing else
		r.n, r.err = a.from.Read(r.piece[:])
		if errors.Is(r.err, io.EOF) {
			a.whole()
		}
		select {
		case a.ready <- r:
		case <-a.stop:
			a.give(r)
			return
		}
		if r.err != nil {
			return
		}
	}
}

func (a *ahead) give(r read) {
	pieces.Put(r.piece)
	<-r.token
}

// cut ends the reading, which abort does where it waits for the application.
func (a *ahead) cut(abort func()) {
	close(a.stop)
	abort()
	<-a.ended
	for {
		select {
		case r := <-a.ready:
			a.give(r)
		default:
			return
		}
	}
}

// sending gives the body of an answer to the caller.
type sending struct {
	p       *Proxy
	w       http.ResponseWriter
	control *http.ResponseController
	stream  bool // each piece goes on at once
}

// write passes a piece on. It has a time of its own: a stream may pause for as long as
// it likes, and only a reader that takes nothing is cut.
func (s *sending) write(piece []byte) error {
	if len(piece) == 0 {
		return nil
	}
	b := &s.p.policy.Bounds
	limit := b.Grace + time.Duration(len(piece))*time.Second/time.Duration(b.Rate)
	_ = s.control.SetWriteDeadline(time.Now().Add(limit)) // a writer of a test may have none
	if _, err := s.w.Write(piece); err != nil {
		return err
	}
	if s.stream {
		if err := s.control.Flush(); err != nil {
			return err
		}
	}
	// While there is nothing to write nobody is slow; HTTP/2 would end the stream all
	// the same.
	_ = s.control.SetWriteDeadline(time.Time{}) // as above
	return nil
}

// begin tells a caller that a stream has begun.
func (s *sending) begin() error {
	s.p.boundAnswer(s.w)
	if err := s.control.Flush(); err != nil {
		return err
	}
	_ = s.control.SetWriteDeadline(time.Time{}) // as in write
	return nil
}

// end leaves time for what the server still has to read and to write.
func (s *sending) end() { s.p.boundAnswer(s.w) }

// ahead passes on the rest of a body, reading it ahead.
func (s *sending) ahead(from io.Reader, whole, abort func()) error {
	a := s.p.readAhead(from, whole)
	for {
		r := <-a.ready
		err := s.write(r.piece[:r.n])
		a.give(r)
		switch {
		case r.err != nil:
			<-a.ended
			if errors.Is(r.err, io.EOF) && err == nil {
				s.end()
				return nil
			}
			if err == nil {
				err = r.err
			}
			return err
		case err != nil:
			a.cut(abort)
			return err
		}
	}
}
