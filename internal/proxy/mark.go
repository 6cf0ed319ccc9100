package proxy

import (
	"net/http"
	"slices"
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

// What a mark says: whose request it is. The sibling may not be able to tell a crawler
// that came by the port for crawlers here, or whose certificate this cell has seen. Who
// claims to be one without need only has less.
const (
	markClient  = "1"
	markCrawler = "crawler"
)

// markOf is the mark for a request of a class.
func markOf(c Class) string {
	if c == Crawler {
		return markCrawler
	}
	return markClient
}

// unmark takes off the mark of a request that was sent on by a sibling, and says
// whether there was one, and whether it is a crawler's. The rest of the query stays byte
// by byte as it was.
func unmark(r *http.Request) (moved, crawler bool) {
	if marks, ok := r.Header[movedHeader]; ok {
		moved, crawler = true, slices.Contains(marks, markCrawler)
		delete(r.Header, movedHeader)
	}
	query := r.URL.RawQuery
	if !strings.Contains(query, movedQuery) {
		return moved, crawler
	}
	kept := make([]string, 0, 8)
	for part := range strings.SplitSeq(query, "&") {
		if name, mark, _ := strings.Cut(part, "="); name == movedQuery {
			moved, crawler = true, crawler || mark == markCrawler
			continue
		}
		kept = append(kept, part)
	}
	r.URL.RawQuery = strings.Join(kept, "&")
	return moved, crawler
}

// movedTo is where a request is redirected to: the same path and query at a sibling,
// and the mark.
func movedTo(base string, r *http.Request, c Class) string {
	between := "?"
	if r.URL.RawQuery != "" {
		between = "&"
	} else if r.URL.ForceQuery {
		between = "" // RequestURI ends with the question mark
	}
	return strings.TrimSuffix(base, "/") + r.URL.RequestURI() + between + movedQuery + "=" + markOf(c)
}
