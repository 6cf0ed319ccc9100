package proxy

import "time"

// patient is after how many windows' time answers to crawlers alone tell of the
// latency, though there are a few to clients.
const patient = 10

// nearlyAll is the share of the limit, less what crawlers leave free, that has to be in
// flight, in the mean, for the rate of answers to be all that the application can do.
const nearlyAll = 0.9

// window gathers answers until they tell something.
type window struct {
	began, last time.Time
	took        [classes]counts
	n           [classes]int
	done        int
	peak        int
	area        float64 // requests in flight, times seconds
}

func (w *window) begin(at time.Time) { *w = window{began: at, last: at} }

// pass says that so many were in flight from the last change on until now.
func (w *window) pass(at time.Time, inFlight int) {
	if past := at.Sub(w.last); past > 0 {
		w.area += float64(inFlight) * past.Seconds()
		w.last = at
	}
}

func (w *window) add(c Class, took time.Duration) {
	w.took[c][bucket(took)]++
	w.n[c]++
	w.done++
}

// ready says whether there are enough answers, and whose: those to clients, or where
// there are too few for long, those to crawlers.
func (w *window) ready(at time.Time, cfg gateConfig) (Class, bool) {
	past := at.Sub(w.began)
	switch {
	case past < cfg.window:
		return Client, false
	case w.n[Client] >= cfg.samples:
		return Client, true
	case w.n[Crawler] >= cfg.samples && (w.n[Client] == 0 || past >= patient*cfg.window):
		return Crawler, true
	default:
		return Client, false
	}
}

// mean is how many were in flight, over the time of the window.
func (w *window) mean(at time.Time) float64 {
	return w.area / max(at.Sub(w.began), time.Nanosecond).Seconds()
}

// rate is of the answers, per second.
func (w *window) rate(at time.Time) float64 {
	return float64(w.done) / max(at.Sub(w.began), time.Nanosecond).Seconds()
}
