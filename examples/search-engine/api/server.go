package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

const (
	// maxBody is the largest request taken, in bytes.
	maxBody = 64 << 20
	// maxURL is the longest URL taken, in bytes; PostgreSQL's index holds 2,704.
	maxURL = 2000
	// requestTimeout bounds the work on one request.
	requestTimeout = 10 * time.Second
)

// database is what the server needs of the store.
type database interface {
	Put(ctx context.Context, page store.Page) (stored bool, found int64, err error)
	Seed(ctx context.Context, urls []string) (int64, error)
	Search(ctx context.Context, query string, limit int) (hits []store.Hit, away int, err error)
	Stats(ctx context.Context) (store.Stats, error)
}

// nudger is told of new URLs.
type nudger interface{ nudge() }

type server struct {
	store   database
	relay   nudger
	gate    *cell.Gate
	desk    *desk
	metrics *metrics
}

func newServer(pages database, relay nudger, o settings) *server {
	s := &server{store: pages, relay: relay, gate: cell.NewGate(o.concurrency, time.Now), metrics: newMetrics()}
	s.gate.Register(s.metrics.registry, "api")
	s.desk = newDesk(o.workers, o.searchCost)
	s.desk.gate.Register(s.metrics.registry, "api_search")
	return s
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /pages", s.work("/pages", s.putPage))
	mux.Handle("POST /seed", s.work("/seed", s.seed))
	mux.Handle("GET /search", s.work("/search", s.search))
	mux.Handle("GET /stats", s.work("/stats", s.stats))
	mux.Handle("/drain", s.gate)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok")
	})
	return mux
}

// work wraps a handler that does the cell's work: it is counted, bounded,
// timed, and refused while the cell is full or draining.
func (s *server) work(route string, handle func(http.Header, *http.Request) (int, any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.metrics.arrived.Inc()
		if err := s.gate.Enter(); err != nil {
			s.metrics.refused.Inc()
			answerError(w, http.StatusServiceUnavailable, err)
			return
		}
		defer s.gate.Leave()
		timer := prometheus.NewTimer(s.metrics.seconds.WithLabelValues(route))
		defer timer.ObserveDuration()
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, body, err := handle(w.Header(), r.WithContext(ctx))
		if r.Context().Err() != nil {
			return // the client has gone
		}
		if err != nil {
			answerError(w, statusOf(err), err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client may be gone; nothing to mend here
	})
}

// errBadRequest marks what the client has to mend.
var errBadRequest = errors.New("bad request")

func statusOf(err error) int {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errBadRequest):
		return http.StatusBadRequest
	case store.Refused(err):
		return http.StatusUnprocessableEntity
	case store.Away(err):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func answerError(w http.ResponseWriter, status int, err error) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if status >= 500 && !errors.Is(err, cell.ErrDraining) && !errors.Is(err, cell.ErrFull) {
		slog.Warn("a request failed", "status", status, "error", err)
	}
	http.Error(w, err.Error(), status)
}

func (s *server) putPage(_ http.Header, r *http.Request) (int, any, error) {
	var page store.Page
	if err := decode(r, &page); err != nil {
		return 0, nil, err
	}
	if err := checkURLs(append(page.Links, page.URL)); err != nil {
		return 0, nil, err
	}
	stored, found, err := s.store.Put(r.Context(), page)
	if err != nil {
		return 0, nil, err
	}
	if found > 0 {
		s.relay.nudge()
	}
	if !stored {
		return http.StatusOK, map[string]int64{"found": 0}, nil
	}
	s.metrics.stored.Inc()
	return http.StatusCreated, map[string]int64{"found": found}, nil
}

func (s *server) seed(_ http.Header, r *http.Request) (int, any, error) {
	var body struct {
		URLs []string `json:"urls"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if err := checkURLs(body.URLs); err != nil {
		return 0, nil, err
	}
	found, err := s.store.Seed(r.Context(), body.URLs)
	if err != nil {
		return 0, nil, err
	}
	s.relay.nudge()
	return http.StatusCreated, map[string]int64{"found": found}, nil
}

func (s *server) search(header http.Header, r *http.Request) (int, any, error) {
	query, limit := r.FormValue("q"), 10
	if query == "" {
		return 0, nil, fmt.Errorf("%w: name what to search for: /search?q=words", errBadRequest)
	}
	if text := r.FormValue("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > 100 {
			return 0, nil, fmt.Errorf("%w: limit %q is not a number from 1 to 100", errBadRequest, text)
		}
	}
	leave, err := s.desk.enter(r.Context())
	if err != nil {
		return 0, nil, err
	}
	defer leave()
	hits, away, err := s.store.Search(r.Context(), query, limit)
	if err != nil {
		return 0, nil, err
	}
	if away > 0 {
		header.Set("Databases-Away", strconv.Itoa(away)) // and what they hold is missing
	}
	return http.StatusOK, hits, nil
}

func (s *server) stats(_ http.Header, r *http.Request) (int, any, error) {
	stats, err := s.store.Stats(r.Context())
	return http.StatusOK, stats, err
}

func decode(r *http.Request, into any) error {
	err := json.NewDecoder(r.Body).Decode(into)
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return fmt.Errorf("%w: read the body as JSON: %w", errBadRequest, err)
	}
	return err
}

func checkURLs(urls []string) error {
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("%w: %.200q is not an absolute http or https URL", errBadRequest, text)
		}
		if len(text) > maxURL {
			return fmt.Errorf("%w: URL of %d bytes, the longest taken is %d: %.80s", errBadRequest, len(text), maxURL, text)
		}
	}
	return nil
}
