package callers

import (
	"errors"
	"net"
	"net/netip"
	"sync"
)

// Connections bounds the connections of callers, in all and of one address.
type Connections struct {
	most, each int
	free       Networks // whose connections are bounded in all only

	mu      sync.Mutex
	open    int
	opened  uint64 // since the start
	of      map[netip.Prefix]int
	refused [2]uint64 // in all, of one address
}

// NewConnections bounds them to so many in all and of each address, or each /64 of IPv6;
// those of free are bounded in all only.
func NewConnections(most, each int, free Networks) *Connections {
	return &Connections{most: most, each: each, free: free, of: map[netip.Prefix]int{}}
}

// Counts are connections of callers: those open now, and since the start those that were
// opened and those that were refused, for the bound in all and that of one address.
type Counts struct {
	Open                       int
	Opened                     uint64
	RefusedInAll, RefusedOfOne uint64
}

// Counts are how many there are and were.
func (c *Connections) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counts{c.open, c.opened, c.refused[0], c.refused[1]}
}

// take counts a connection, if there may be one more.
func (c *Connections) take(from netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open >= c.most:
		c.refused[0]++
		return false
	case c.of[one(from)] >= c.each && !c.free.holds(from):
		c.refused[1]++
		return false
	}
	c.open++
	c.opened++
	c.of[one(from)]++
	return true
}

func (c *Connections) give(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.of[one(from)]--; c.of[one(from)] == 0 {
		delete(c.of, one(from))
	}
}

// one is what counts as one address: of IPv6 a /64, as whoever has one address there
// has all of them.
func one(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	network, _ := a.Prefix(bits) // that many bits it has
	return network
}

// bounded is a listener whose connections are counted; those over a bound are closed
// at once.
type bounded struct {
	*net.TCPListener
	callers *Connections
}

var errNotTCP = errors.New("connections are bounded on TCP only")

// Bound returns the listener with its connections bounded. It must be one of TCP.
func (c *Connections) Bound(l net.Listener) (net.Listener, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errNotTCP
	}
	return &bounded{tcp, c}, nil
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.AcceptTCP()
		if err != nil {
			return nil, err
		}
		var from netip.Addr
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			from = a.AddrPort().Addr().Unmap()
		}
		if b.callers.take(from) {
			return &counted{TCPConn: c, from: from, callers: b.callers}, nil
		}
		_ = c.SetLinger(0) // or who is over the bound would leave a socket behind each time
		_ = c.Close()      // it was never used
	}
}

// counted is a connection that is no longer counted once it is closed.
type counted struct {
	*net.TCPConn
	from    netip.Addr
	callers *Connections
	once    sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { c.callers.give(c.from) })
	return c.TCPConn.Close()
}
