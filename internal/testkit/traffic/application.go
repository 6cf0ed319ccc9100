package traffic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Application is a server that does so many requests side by side, each for so
// long. Its work is waiting, so it needs next to no CPU; what comes beyond its
// workers waits in the order of coming, for as long as it takes. Like most
// applications it does not notice that a client has gone before it is done.
type Application struct {
	// Workers is how many requests it works on at once, 0 for any number.
	Workers int
	// Work is how long a request takes on average, the times being spread evenly
	// from half to one and a half of it; 0 for none.
	Work time.Duration
	// Body is the length of the answer, in bytes.
	Body int
	// Served is called with each request that was answered; nil for nothing.
	Served func()
}

// Serve answers until ctx ends; then it closes listener and connections.
func (a Application) Serve(ctx context.Context, listener net.Listener) error {
	if a.Workers < 0 || a.Work < 0 || a.Body < 0 {
		return fmt.Errorf("%d workers, %s of work, %d bytes: none may be negative", a.Workers, a.Work, a.Body)
	}
	s := &serving{Application: a, answer: answerOf(a.Body)}
	if a.Workers > 0 {
		s.slots = make(chan struct{}, a.Workers)
	}
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() }) // Accept says so
	defer stop()
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
				return nil
			}
			return err
		}
		connections.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			s.serve(conn)
		})
	}
}

type serving struct {
	Application
	answer []byte
	slots  chan struct{}
}

func answerOf(length int) []byte {
	text := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", length)
	body := make([]byte, length)
	for i := range body {
		body[i] = 'x'
	}
	return append([]byte(text), body...)
}

// serve answers one connection until it ends.
func (s *serving) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		h, err := readHead(r)
		if err == nil {
			err = h.skipBody(r)
		}
		if err != nil {
			return
		}
		s.work()
		_, err = conn.Write(s.answer)
		if err == nil && s.Served != nil {
			s.Served()
		}
		if err != nil || h.closing {
			return
		}
	}
}

func (s *serving) work() {
	if s.slots != nil {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
	}
	if s.Work > 0 {
		time.Sleep(time.Duration((0.5 + rand.Float64()) * float64(s.Work))) //nolint:gosec // no secret
	}
}
