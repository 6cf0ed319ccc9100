package fleet

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// What is kept of connections that nothing is asked over. An agent takes only so
// many from one host, 200 by default, and all of a host's programs share those. A
// leader asks three things of Consul at the same time and renews its lock beside.
const (
	idleMost = 4
	idleTime = 30 * time.Second
)

// transports are those of this process. A provider is given no sign of its end,
// and one process may hold many after each other, so connections are the
// process's and not a client's.
var transports pool

// pool shares one transport among the clients that would make the same.
type pool struct {
	mu  sync.Mutex
	all []*transport
}

// transport holds the connections to one address.
type transport struct {
	*http.Transport
	address string
	timeout time.Duration
	users   int
}

// take returns the transport for an address, made where there is none yet that
// knows the same certificates. It is to be given back.
func (p *pool) take(address string, timeout time.Duration, secure *tls.Config) *transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.all {
		if s.address == address && s.timeout == timeout && sameTLS(s.TLSClientConfig, secure) {
			s.users++
			return s
		}
	}
	dialer := &net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}
	s := &transport{address: address, timeout: timeout, users: 1, Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     secure,
		TLSHandshakeTimeout: timeout,
		MaxIdleConnsPerHost: idleMost,
		IdleConnTimeout:     idleTime,
	}}
	p.all = append(p.all, s)
	return s
}

// giveBack closes the idle connections when nobody else uses the transport.
func (p *pool) giveBack(s *transport) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	p.all = slices.DeleteFunc(p.all, func(one *transport) bool { return one == s })
	s.CloseIdleConnections()
}

// sameTLS compares what was read of the files, not their names: a certificate
// may have been renewed since.
func sameTLS(a, b *tls.Config) bool {
	return a.InsecureSkipVerify == b.InsecureSkipVerify && a.ServerName == b.ServerName && a.RootCAs.Equal(b.RootCAs) &&
		slices.EqualFunc(a.Certificates, b.Certificates, func(x, y tls.Certificate) bool {
			return slices.EqualFunc(x.Certificate, y.Certificate, bytes.Equal)
		})
}
