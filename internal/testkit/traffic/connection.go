package traffic

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// caller is a client that has one request under way at a time, and its connections.
type caller struct {
	connection
	moved map[string]*connection // to where it was redirected
}

func (c *caller) drop() {
	c.connection.drop()
	for _, m := range c.moved {
		m.drop()
	}
}

// ask sends a request until it is answered for good.
func (c *caller) ask(ctx context.Context, end time.Time, stream *Stream, request []byte) (b became) {
	for {
		limit := end
		if t := stream.Retries.Timeout; t > 0 && time.Now().Add(t).Before(end) {
			limit = time.Now().Add(t)
		}
		c.once(ctx, limit, stream, request, &b)
		if !again(b.status, b.err) || b.sent > stream.Retries.Most {
			return b
		}
		if !sleepUntil(ctx, time.Now().Add(stream.Retries.before(b.sent))) {
			b.err = ctx.Err()
			return b
		}
	}
}

// once is one try, with the redirect that it may meet.
func (c *caller) once(ctx context.Context, end time.Time, stream *Stream, request []byte, b *became) {
	b.sent++
	h, err := c.roundTrip(ctx, end, request)
	b.status, b.err = h.status, err
	if err != nil || h.status != http.StatusTemporaryRedirect || !stream.Follow {
		return
	}
	to, err := url.Parse(h.location)
	if err == nil && to.Host == "" {
		err = fmt.Errorf("redirected to %q, which is no URL with a host", h.location)
	}
	if b.err = err; err != nil {
		return
	}
	if c.moved[to.Host] == nil {
		if c.moved == nil {
			c.moved = map[string]*connection{}
		}
		c.moved[to.Host] = &connection{address: to.Host}
	}
	b.moved = true
	h, b.err = c.moved[to.Host].roundTrip(ctx, end, stream.request(to.Host, to.RequestURI()))
	b.status = h.status
}

// connection is one to a program, opened when it is first needed.
type connection struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

func (c *connection) drop() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = nil
}

func (c *connection) roundTrip(ctx context.Context, end time.Time, request []byte) (head, error) {
	fresh := c.conn == nil
	h, err := c.try(ctx, end, request)
	// A connection that was kept may have been closed meanwhile: what was not
	// answered at all is sent once more, as clients do.
	if err != nil && !fresh && ctx.Err() == nil && time.Now().Before(end) {
		h, err = c.try(ctx, end, request)
	}
	return h, err
}

func (c *connection) try(ctx context.Context, end time.Time, request []byte) (h head, err error) {
	defer func() {
		if err != nil {
			c.drop()
		}
	}()
	if c.conn == nil {
		if c.conn, err = (&net.Dialer{Deadline: end}).DialContext(ctx, "tcp", c.address); err != nil {
			return h, err
		}
		if c.reader == nil {
			c.reader = bufio.NewReader(c.conn)
		}
		c.reader.Reset(c.conn)
	}
	if err = c.conn.SetDeadline(end); err != nil {
		return h, err
	}
	if _, err = c.conn.Write(request); err != nil {
		return h, err
	}
	h, err = readHead(c.reader)
	if err == nil {
		err = h.skipBody(c.reader)
	}
	if err == nil && h.closing {
		c.drop()
	}
	return h, err
}
