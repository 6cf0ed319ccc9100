package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/pairing"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
)

// serveLocal serves the application beside this sidecar. What nobody has added a
// handler for is answered as at the sidecar's own address. The function returned
// ends that; it is for after the application's end.
func (n *node) serveLocal(own http.Handler, failed chan<- error) (stop func()) {
	if n.local == nil {
		return func() {}
	}
	n.local.Handle("/", own)
	if n.spool != nil {
		n.local.Handle(spool.Path, n.spool.Handler())
	}
	if n.partner != nil {
		n.local.Handle("GET "+pairing.Path, n.partner)
	}
	go func() { failed <- fmt.Errorf("serve the application on %s: %w", n.local.URL(), n.local.Serve()) }()
	return func() {
		if err := n.local.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			n.leading.log.Debug("close what the application is served by", "error", err)
		}
	}
}
