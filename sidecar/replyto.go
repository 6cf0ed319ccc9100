package main

import (
	"net"
	"strconv"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
	"github.com/homeostat-io/terraform-provider-homeostat/replyto"
)

// replyTo is the header that new messages carry their reply-to in: the public address
// of this cell, or of a sibling with room while this one can take no more from
// crawlers. Where there is no sibling with room it is this cell all the same: it
// refuses in order, and crawlers know what to do then.
func (n *node) replyTo() spool.Header {
	id := n.cell.Identity
	if !n.spool.service.Spool.ReplyTo || id.Port == 0 {
		return spool.Header{}
	}
	address := scheme(n.spool.service.Proxy) + "://" + net.JoinHostPort(id.Address, strconv.Itoa(id.Port))
	if n.proxy != nil && !n.proxy.Report().Crawlers {
		if sibling, ok := n.siblings.WithRoom(true); ok {
			address = sibling
		}
	}
	return spool.Header{Name: replyto.Header, Value: []byte(address)}
}

// pressure is by what the spool knows whether clients' latency is within its bound:
// the proxy sees it at once, and without one it is what the application's last metrics
// said.
func (n *node) pressure() spool.Pressure {
	if n.proxy != nil {
		return n.proxy
	}
	return n.cell
}
