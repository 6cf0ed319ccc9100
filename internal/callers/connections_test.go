package callers

import (
	"net/netip"
	"testing"
)

// All addresses of an IPv6 subscriber count as one.
func TestConnectionsOfOneNetwork(t *testing.T) {
	c := NewConnections(10, 1, nil)
	for address, want := range map[string]bool{"2001:db8:0:1::1": true, "2001:db8:0:2::1": true, "192.0.2.1": true, "192.0.2.2": true} {
		if got := c.take(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
	if c.take(netip.MustParseAddr("2001:db8:0:1:ffff::2")) || c.take(netip.MustParseAddr("192.0.2.1")) {
		t.Error("a second one is taken")
	}
	c.give(netip.MustParseAddr("2001:db8:0:1::1"))
	if !c.take(netip.MustParseAddr("2001:db8:0:1:ffff::2")) {
		t.Error("none is taken after the first has gone")
	}
}
