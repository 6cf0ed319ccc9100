package callers

import (
	"net/netip"
	"strings"
)

// Networks are those whose word on where a request came from is taken.
type Networks []netip.Prefix

// ParseNetworks reads networks such as 10.0.0.0/8.
func ParseNetworks(texts []string) (Networks, error) {
	var all Networks
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		all = append(all, network.Masked())
	}
	return all, nil
}

func (n Networks) holds(a netip.Addr) bool {
	for _, network := range n {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// believes says whether the word of a peer is taken, which is an address without a port.
func (n Networks) believes(peer string) bool {
	if len(n) == 0 {
		return false
	}
	a, err := netip.ParseAddr(peer)
	return err == nil && n.holds(a.Unmap())
}

// peerOf is the address that a request came from, without its port and zone.
func peerOf(remote string) string {
	host := remote
	if i := strings.LastIndexByte(remote, ':'); i >= 0 {
		host = remote[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}
