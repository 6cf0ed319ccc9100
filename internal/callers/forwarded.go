package callers

import (
	"net/http"
	"net/http/httputil"
	"strings"
)

// Forward tells who is behind where a request came from, by the headers h of the one
// that goes there: X-Forwarded-For, -Host and -Proto, and Forwarded (RFC 7239) where
// there is one. What a proxy before this one has said of that in h is added to if it is
// trusted, and dropped if not. The values are set in room that the caller gives, so that
// they cost nothing.
func Forward(h http.Header, r *http.Request, trusted Networks, room *[3]string) {
	peer, proto := peerOf(r.RemoteAddr), "http"
	if r.TLS != nil {
		proto = "https"
	}
	room[0], room[1], room[2] = peer, r.Host, proto
	if trusted.believes(peer) {
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

// ForwardByReverseProxy does so within the Rewrite of a httputil.ReverseProxy, which has
// taken the headers off before.
func ForwardByReverseProxy(p *httputil.ProxyRequest, trusted Networks) {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
		if v, ok := p.In.Header[name]; ok {
			p.Out.Header[name] = v
		}
	}
	Forward(p.Out.Header, p.In, trusted, new([3]string))
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
