package proxy

import (
	"net/http"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

const (
	// movedQuery marks a request that was redirected, so that it isn't again. A header
	// doesn't survive a redirect and a cookie goes to no other host, so the mark is the
	// last parameter of the query; the sibling takes it off before the application
	// sees the request. Who sets it without having been redirected only makes sure
	// that the request stays where it is.
	movedQuery = "homeostat-moved"
	// movedHeader is the same for a request that was forwarded.
	movedHeader = load.Moved
)

// unmark takes off the mark of a request that was sent on by a sibling, and says
// whether there was one. The rest of the query stays byte by byte as it was.
func unmark(r *http.Request) bool {
	_, moved := r.Header[movedHeader]
	if moved {
		delete(r.Header, movedHeader)
	}
	query := r.URL.RawQuery
	if !strings.Contains(query, movedQuery) {
		return moved
	}
	kept := make([]string, 0, 8)
	for part := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(part, "="); name == movedQuery {
			moved = true
			continue
		}
		kept = append(kept, part)
	}
	r.URL.RawQuery = strings.Join(kept, "&")
	return moved
}

// movedTo is where a request is redirected to: the same path and query at a sibling,
// and the mark.
func movedTo(base string, r *http.Request) string {
	between := "?"
	if r.URL.RawQuery != "" {
		between = "&"
	} else if r.URL.ForceQuery {
		between = "" // RequestURI ends with the question mark
	}
	return strings.TrimSuffix(base, "/") + r.URL.RequestURI() + between + movedQuery + "=1"
}
