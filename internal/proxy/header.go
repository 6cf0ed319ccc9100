package proxy

import (
	"net/http"
	"net/netip"
	"strings"
)

// hopByHop are the headers that mean something to the next hop only (RFC 9110, 7.6.1),
// and those that browsers and old proxies send as such.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// removeHopByHop takes off what is not for the one behind this proxy: these headers
// and those that Connection names.
func removeHopByHop(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// hasToken says whether a list such as that of Connection names a token.
func hasToken(values []string, token string) bool {
	for _, list := range values {
		for part := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// trust is the networks whose word on where a request came from is taken.
type trust []netip.Prefix

func (t trust) holds(a netip.Addr) bool {
	for _, network := range t {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// peerOf is the address that a request came from, without its port and zone.
func peerOf(remote string) string {
	host := remote
	if i := strings.LastIndexByte(remote, ':'); i >= 0 {
		host = remote[:i]
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// forwarded tells the application where a request came from. What a proxy before this
// one has said of that is added to if it is trusted, and dropped if not. The values
// are set in room that the caller gives, so that they cost nothing.
func forwarded(h http.Header, r *http.Request, t trust, room *[3]string) {
	peer, proto := peerOf(r.RemoteAddr), "http"
	if r.TLS != nil {
		proto = "https"
	}
	known := false
	if len(t) > 0 {
		if a, err := netip.ParseAddr(peer); err == nil {
			known = t.holds(a.Unmap())
		}
	}
	room[0], room[1], room[2] = peer, r.Host, proto
	if known {
		addForwarded(h, peer, r.Host, proto)
		if before := h["X-Forwarded-For"]; len(before) > 0 {
			room[0] = strings.Join(before, ", ") + ", " + peer
		}
		if host := h.Get("X-Forwarded-Host"); host != "" {
			room[1] = host
		}
		if before := h.Get("X-Forwarded-Proto"); before != "" {
			room[2] = before
		}
	} else {
		delete(h, "Forwarded")
	}
	h["X-Forwarded-For"] = room[0:1:1]
	h["X-Forwarded-Host"] = room[1:2:2]
	h["X-Forwarded-Proto"] = room[2:3:3]
}

// addForwarded adds this hop to the header of RFC 7239, where there is one.
func addForwarded(h http.Header, peer, host, proto string) {
	before := h["Forwarded"]
	if len(before) == 0 {
		return
	}
	if strings.Contains(peer, ":") {
		peer = `"[` + peer + `]"`
	}
	h["Forwarded"] = []string{strings.Join(before, ", ") + ", for=" + peer + `;host="` + host + `";proto=` + proto}
}
