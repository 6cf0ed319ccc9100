package traffic

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// Stream is one kind of request, sent at random instants (a Poisson process).
type Stream struct {
	Name string `json:"name"`
	// Rate is how many are due in a second, on average.
	Rate float64 `json:"rate"`
	// Then are other rates from some instants on, in their order.
	Then []Change `json:"then,omitempty"`
	// Path and Fields, lines such as "X-Crawler: 1", make the request, a GET.
	Path   string   `json:"path"`
	Fields []string `json:"fields,omitempty"`
	// Patience is after how long, counted from when it was due, a request is given
	// up: its connection is closed.
	Patience time.Duration `json:"patience"`
	// Retries has a request that failed, was refused (429) or met a fault (5xx) sent
	// again, at most so often.
	Retries Retries `json:"retries,omitzero"`
	// Follow has a 307 followed, once a request.
	Follow bool `json:"follow,omitempty"`
}

// Change is another rate from an instant on.
type Change struct {
	// After is from when on, counted from the beginning.
	After time.Duration `json:"after"`
	Rate  float64       `json:"rate"`
}

// Retries bounds how a client tries again.
type Retries struct {
	// Most is how often, beside the first time.
	Most int `json:"most"`
	// Timeout is how long one try may take; 0: as long as there is patience.
	Timeout time.Duration `json:"timeout"`
	// Wait is how long it waits before the first retry, give or take half of it at
	// random; it doubles with each further one.
	Wait time.Duration `json:"wait"`
}

// before is how long to wait before a retry, the first being 1.
func (r Retries) before(retry int) time.Duration {
	return time.Duration((0.5 + rand.Float64()) * float64(r.Wait<<(retry-1))) //nolint:gosec // no secret
}

// again says whether what became of a try is a reason for another one.
func again(status int, err error) bool {
	return err != nil || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// request is what is sent, each time anew.
func (s Stream) request(host, path string) []byte {
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, host)
	for _, field := range s.Fields {
		request = append(request, field+"\r\n"...)
	}
	return append(request, "\r\n"...)
}

// arrivals are the instants at which a stream's requests are due, from the beginning.
type arrivals struct {
	random *rand.Rand
	rate   float64
	then   []Change
	at     time.Duration
}

// next is the instant of the next one; false where there is none any more. The time
// to the next one doesn't depend on the time since the last, so at a change of the
// rate it is drawn anew.
func (a *arrivals) next() (time.Duration, bool) {
	for {
		due := a.at
		if a.rate > 0 {
			due += time.Duration(a.random.ExpFloat64() / a.rate * float64(time.Second))
		}
		if len(a.then) > 0 && (a.rate <= 0 || due >= a.then[0].After) {
			a.at, a.rate, a.then = a.then[0].After, a.then[0].Rate, a.then[1:]
			continue
		}
		a.at = due
		return due, a.rate > 0
	}
}
