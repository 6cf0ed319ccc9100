package proxy

import (
	"net/http"
	"sync/atomic"
)

// stats counts the requests of one class. Each is offered once, or comes again, and
// then is served, refused, gone, or fails in one way; one that is moved is offered at
// the sibling alone.
type stats struct {
	offered atomic.Uint64
	again   atomic.Uint64 // came again after they were refused
	served  atomic.Uint64 // answered by the application
	refused atomic.Uint64
	moved   atomic.Uint64 // sent to a sibling
	gone    atomic.Uint64 // the caller gave up
	absent  atomic.Uint64 // 503: the application wasn't there
	broken  atomic.Uint64 // 502, or an answer that broke off
	slow    atomic.Uint64 // 504
	wrong   atomic.Uint64 // the request's own fault: 400, 408, 413

	inFlight atomic.Int64
	waited   sketch
	latency  sketch // from when it came until the answer began
}

// count notes a request that the proxy answered in the application's place.
func (s *stats) count(status int) {
	switch status {
	case http.StatusServiceUnavailable:
		s.absent.Add(1)
	case http.StatusBadGateway:
		s.broken.Add(1)
	case http.StatusGatewayTimeout:
		s.slow.Add(1)
	default:
		s.wrong.Add(1)
	}
}
