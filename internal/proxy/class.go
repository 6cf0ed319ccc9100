package proxy

import (
	"context"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// Class is who sent a request.
type Class int

// The classes. Clients wait for their answers; crawlers can come again.
const (
	Client Class = iota
	Crawler
	classes = 2
)

func (c Class) String() string {
	if c == Crawler {
		return "crawler"
	}
	return "client"
}

// crawlerPort marks the connections that came by the listener for crawlers.
type crawlerPort struct{}

// classify tells crawlers from clients by what the policy says.
func classify(p *policy.ProxyCrawlers, r *http.Request) Class {
	switch {
	case p.Header != "" && hasHeader(r.Header, p.Header, p.Value),
		len(p.Paths) > 0 && below(p.Paths, r.URL.Path),
		p.Port != 0 && r.Context().Value(crawlerPort{}) != nil,
		len(p.Certificates) > 0 && certified(p.Certificates, r):
		return Crawler
	default:
		return Client
	}
}

func hasHeader(h http.Header, name, value string) bool {
	values := h[name]
	return len(values) > 0 && (value == "" || slices.Contains(values, value))
}

// below says whether a path is one of those, or lies below it. It is cleaned first, as
// applications do it: /x/../pages is /pages.
func below(paths []string, p string) bool {
	if strings.Contains(p, "//") || strings.Contains(p, "/.") {
		p = path.Clean(p)
	}
	return slices.ContainsFunc(paths, func(begin string) bool {
		rest, ok := strings.CutPrefix(p, strings.TrimSuffix(begin, "/"))
		return ok && (rest == "" || rest[0] == '/')
	})
}

// certified says whether the caller's certificate, which the handshake has verified,
// is for one of the names.
func certified(names []string, r *http.Request) bool {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return false
	}
	leaf := r.TLS.VerifiedChains[0][0]
	if len(leaf.DNSNames) == 0 {
		return slices.Contains(names, leaf.Subject.CommonName)
	}
	return slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return slices.Contains(names, name) })
}

// markPort is a server's ConnContext that marks the connections of crawlers.
func markPort(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, crawlerPort{}, true)
}
