// Package local is the HTTP interface that a sidecar has for the application
// beside it, and for nobody else: a listener on loopback whose address the
// application is told as HOMEOSTAT_SIDECAR. What is served there is for others
// to add; this package sees to it that only this host's own programs get in.
//
// A listener on loopback alone is not enough for that. A web page can have its
// visitor's browser call an address of its own host, under the page's name where
// that name was pointed at 127.0.0.1 meanwhile (DNS rebinding), or from the page
// of another origin. So a Host header that isn't loopback is refused, and so is
// what a browser marks as coming from another origin.
package local

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Listener serves one application.
type Listener struct {
	listener net.Listener
	mux      *http.ServeMux
	server   *http.Server
}

// Listen begins to listen at an address of loopback, port 0 for a free one.
// Nothing is answered before Serve.
func Listen(ctx context.Context, address string) (*Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the application: %w", err)
	}
	if at, ok := l.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
		_ = l.Close() // nobody was let in
		return nil, fmt.Errorf("listen for the application on %s: whoever reaches this address could use it as the application does. "+
			"Give an address of loopback: 127.0.0.1:0", l.Addr())
	}
	mux := http.NewServeMux()
	return &Listener{listener: l, mux: mux, server: &http.Server{
		Handler:           onlyLoopback(http.NewCrossOriginProtection().Handler(mux)),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 64 << 10,
	}}, nil
}

// URL is where the application finds it, without a slash at its end.
func (l *Listener) URL() string { return "http://" + l.listener.Addr().String() }

// Handle adds a handler for a pattern of http.ServeMux. All have to be added
// before Serve.
func (l *Listener) Handle(pattern string, h http.Handler) { l.mux.Handle(pattern, h) }

// Serve answers until Close, and then returns http.ErrServerClosed.
func (l *Listener) Serve() error { return l.server.Serve(l.listener) }

// Close ends it at once. What is being answered is cut off, so the application
// ends first.
func (l *Listener) Close() error { return l.server.Close() }

// onlyLoopback refuses who isn't on this host, or was led here by another name.
func onlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		switch {
		case err != nil || !peer.Addr().Unmap().IsLoopback():
			http.Error(w, "only programs of this host may use this", http.StatusForbidden)
		case !isLoopback(r.Host):
			http.Error(w, fmt.Sprintf("the Host header names %q, which is not loopback: use the address in HOMEOSTAT_SIDECAR", r.Host), http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isLoopback reports whether a Host header names this host by loopback.
func isLoopback(host string) bool {
	if at, err := netip.ParseAddrPort(host); err == nil {
		return at.Addr().Unmap().IsLoopback()
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if at, err := netip.ParseAddr(host); err == nil {
		return at.Unmap().IsLoopback()
	}
	return host == "localhost"
}
