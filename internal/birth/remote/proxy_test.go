package remote

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between a test and a server and does what networks do.
type proxy struct {
	listener net.Listener
	server   string
	cutAfter atomic.Int64 // bytes to the server after which a connection breaks; 0: never
	rate     atomic.Int64 // bytes per second to the server; 0: as fast as it goes
	sent     atomic.Int64 // bytes brought to the server

	mu          sync.Mutex
	connections []net.Conn
	running     sync.WaitGroup
}

// newProxy starts a proxy that ends with the test.
func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) port(t *testing.T) int {
	t.Helper()
	address, ok := p.listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("the proxy listens on %s", p.listener.Addr())
	}
	return address.Port
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.connections = append(p.connections, client, server)
		p.mu.Unlock()
		p.running.Go(func() { defer p.cut(); p.forward(server, client) })
		p.running.Go(func() { defer p.cut(); _, _ = io.Copy(client, server) })
	}
}

// cut breaks all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.connections {
		c.Close()
	}
	p.connections = nil
}

// forward brings bytes to the server until it is time to cut.
func (p *proxy) forward(server io.Writer, client io.Reader) {
	buffer := make([]byte, 4<<10)
	for left := p.cutAfter.Load(); ; {
		n, err := client.Read(buffer)
		if limit := p.cutAfter.Load(); limit > 0 {
			n = int(min(int64(n), left))
			left -= int64(n)
		}
		if _, writeErr := server.Write(buffer[:n]); writeErr != nil || err != nil {
			return
		}
		p.sent.Add(int64(n))
		if p.cutAfter.Load() > 0 && left == 0 {
			return
		}
		if rate := p.rate.Load(); rate > 0 {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
		}
	}
}
