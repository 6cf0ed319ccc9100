package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// servers are what listens for a proxy.
type servers struct {
	all    [classes]*http.Server // crawlers may have a port of their own
	ending context.Context       //nolint:containedctx // it is that of every request, and ends them
	end    context.CancelCauseFunc
}

func (p *Proxy) prepareServers() error {
	encrypted, err := newTLS(p.policy.TLS, p.cfg.Dir, p.cfg.Log)
	if err != nil {
		return err
	}
	p.ending, p.end = context.WithCancelCause(context.Background())
	b := &p.policy.Bounds
	for c := range p.all {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(encrypted == nil)
		p.all[c] = &http.Server{
			Handler: p, Protocols: protocols, TLSConfig: encrypted,
			MaxHeaderBytes: b.HeaderBytes, ReadHeaderTimeout: b.HeaderTime, IdleTimeout: b.Idle,
			BaseContext: func(net.Listener) context.Context { return p.ending },
			ErrorLog:    slog.NewLogLogger(p.cfg.Log.Handler(), slog.LevelDebug),
		}
	}
	p.all[Crawler].ConnContext = markPort
	return nil
}

// Serve answers what comes by a listener, that of everybody or that of crawlers alone,
// until Shutdown or an error. It closes the listener.
func (p *Proxy) Serve(l net.Listener, c Class) error {
	l, err := p.connections.Bound(l)
	if err != nil {
		return err
	}
	server := p.all[c]
	if server.TLSConfig != nil {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %ss at %s: %w", c, l.Addr(), err)
}

// Drain begins to send callers elsewhere, or takes that back. What comes is still
// answered: clients by a sibling, where one has room.
func (p *Proxy) Drain(begin bool) { p.draining.Store(begin) }

// Shutdown takes no more connections, lets what is in flight end until ctx does, and
// cuts what is left then. Connections that speak another protocol, such as WebSockets,
// don't end by themselves: they are cut once all else is done. It returns an error if
// requests were cut.
func (p *Proxy) Shutdown(ctx context.Context) error {
	p.Drain(true)
	var wg sync.WaitGroup
	var errs [classes]error
	for c, server := range p.all {
		wg.Go(func() { errs[c] = server.Shutdown(ctx) })
	}
	wg.Wait()
	p.end(errEnding)
	for _, server := range p.all {
		_ = server.Close() // what is left was told of above
	}
	p.transport.CloseIdleConnections()
	p.links.close()
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("requests were cut, as the time to end them was over: %w", err)
	}
	return nil
}

// Idle says whether nothing is in flight nor waits, and no caller is taking an answer.
func (p *Proxy) Idle() bool { return p.inHand() == 0 && p.taking.Load() == 0 }
