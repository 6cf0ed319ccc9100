// Package cell is what the programs of the examples have in common because they
// run beside a sidecar: they listen where it says, bound and count the work
// they have taken on, drain when told to, and finish it before they exit.
//
// Nothing in it is of Homeostat: it is all that an application needs in order
// to be a good cell, and it fits in two short files.
package cell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Listen opens HOMEOSTAT_ADDRESS:HOMEOSTAT_PORT, which the sidecar has picked.
// The address defaults to loopback; without a port (a start by hand) any free
// one is taken.
func Listen(ctx context.Context, getenv func(string) string) (net.Listener, error) {
	host, port := getenv("HOMEOSTAT_ADDRESS"), getenv("HOMEOSTAT_PORT")
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "0"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("listen where HOMEOSTAT_ADDRESS and HOMEOSTAT_PORT say: %w", err)
	}
	return listener, nil
}

// Serve answers requests until ctx ends, then lets those in flight finish for
// up to grace.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, grace time.Duration) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }() // until Shutdown or Close, which say what went wrong
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(ending)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests were still in flight after %s: %w", grace, err), server.Close())
	}
	return err
}
