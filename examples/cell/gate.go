package cell

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons for which a Gate lets no more work in.
var (
	ErrDraining = errors.New("draining: this cell takes no new work")
	ErrFull     = errors.New("full: this cell does as much at once as it is set to")
)

// window is the time that the busy share looks back over.
const window = 5 * time.Second

// Gate counts the work that a cell has taken on, bounds it, and shuts when the
// cell is to leave. As an http.Handler it is the drain endpoint: PUT shuts the
// gate, DELETE opens it again.
type Gate struct {
	capacity int
	now      func() time.Time

	mu       sync.Mutex
	inFlight int
	draining bool
	changed  chan struct{}
	busy     time.Duration // work done since the start, summed over workers
	at       time.Time     // the instant up to which busy is summed
	samples  []sample
}

type sample struct {
	at   time.Time
	busy time.Duration
}

// NewGate returns an open gate for up to capacity pieces of work at once.
func NewGate(capacity int, now func() time.Time) *Gate {
	return &Gate{capacity: capacity, now: now, changed: make(chan struct{}), at: now()}
}

// Enter takes on a piece of work, or says why not: ErrDraining or ErrFull.
// Each Enter that succeeds needs a Leave.
func (g *Gate) Enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return ErrDraining
	case g.inFlight >= g.capacity:
		return ErrFull
	}
	g.sum()
	g.inFlight++
	return nil
}

// Leave ends a piece of work.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sum()
	g.inFlight--
}

// Draining says whether the gate is shut. The channel is closed at the next
// change.
func (g *Gate) Draining() (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draining, g.changed
}

func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPut:
		g.set(true)
	case http.MethodDelete:
		g.set(false)
	default:
		w.Header().Set("Allow", "PUT, DELETE")
		http.Error(w, "PUT starts draining, DELETE takes it back", http.StatusMethodNotAllowed)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gate) set(draining bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining != draining {
		g.draining = draining
		close(g.changed)
		g.changed = make(chan struct{})
	}
}

// sum brings busy up to this instant and keeps a sample now and then.
func (g *Gate) sum() time.Time {
	now := g.now()
	g.busy += time.Duration(g.inFlight) * now.Sub(g.at)
	g.at = now
	if n := len(g.samples); n == 0 || now.Sub(g.samples[n-1].at) >= window/10 {
		g.samples = append(g.samples, sample{now, g.busy})
	}
	// The oldest sample kept is the newest that is a window old.
	for len(g.samples) > 1 && now.Sub(g.samples[1].at) >= window {
		g.samples = g.samples[1:]
	}
	return now
}

// Busy is the share of the capacity, 0 to 1, in use over the last seconds.
func (g *Gate) Busy() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.sum()
	oldest := g.samples[0]
	span := now.Sub(oldest.at)
	if span <= 0 {
		return float64(g.inFlight) / float64(g.capacity)
	}
	return float64(g.busy-oldest.busy) / float64(span) / float64(g.capacity)
}

// InFlight is the number of pieces of work taken on and not ended.
func (g *Gate) InFlight() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inFlight
}

// Register publishes <name>_in_flight and <name>_busy.
func (g *Gate) Register(registry prometheus.Registerer, name string) {
	registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name + "_in_flight",
			Help: "Pieces of work taken on and not ended.",
		}, func() float64 { return float64(g.InFlight()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name + "_busy",
			Help: "Share of the workers' time in use over the last seconds, 0 to 1.",
		}, g.Busy),
	)
}
