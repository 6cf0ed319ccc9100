package simulate

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// run is a simulation in progress.
type run struct {
	w   *World
	law Law
	// Each kind of chance has a generator of its own, so that every law meets
	// the same load, whatever it orders.
	loadNoise, cellNoise, births *rand.Rand

	// alive counts the cells there are, ordered those there will be, wanted those of
	// the law's newest answer.
	alive, ordered, wanted int
	stands                 bool // the newest answer does, until it is carried out

	backlog     float64
	book        []Flight
	lands       []int // the second at which each of book really lands
	next        int   // the least of lands
	free        int   // when the last order has ended
	pausedUntil int
	taken       median
	recent      []recentLanding
	nextOutage  int // the second from which on outages need a look
	lost        float64
	bounds      int // how many of the world's have begun

	seen    window
	measure measures
}

// recentLanding is an order landed within the last hour.
type recentLanding struct {
	second int
	down   bool
}

// never is a second that no run reaches.
const never = math.MaxInt

// Run plays the load, arrivals per second for each second, through the world
// under the law. The seed and the world's stream make the noise.
func Run(w World, load []float64, law Law, seed uint64) Result {
	w = w.filled()
	r := begin(&w, load, law, seed)
	every := max(1, int(law.Every()/time.Second))
	sample := int(w.Sample / time.Second)
	for now, rate := range load {
		r.second(now, rate)
		if (now+1)%sample == 0 {
			r.measure.sample(&w, r.serving(), r.ordered, rate)
		}
		if (now+1)%every == 0 {
			r.decide(now+1, every)
		}
	}
	r.land(len(load))
	return r.measure.result(len(load), r.backlog)
}

func begin(w *World, load []float64, law Law, seed uint64) *run {
	source := func(kind uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, w.Stream<<8|kind)) }
	r := &run{
		w: w, law: law, next: never, nextOutage: never,
		loadNoise: source(1), cellNoise: source(2), births: source(3),
		taken: median{first: w.Birth.Seconds()},
	}
	first := mean(load[:min(60, len(load))])
	r.alive = w.Start
	if r.alive <= 0 {
		r.alive = max(1, int(math.Ceil(first/(w.StartBusy*w.CellRate))))
	}
	r.bound(0)
	r.alive = w.bounded(r.alive)
	r.ordered, r.wanted = r.alive, r.alive
	_, r.stands = law.(declaring)
	if len(w.Outages) > 0 {
		r.nextOutage = 0
	}
	r.measure = newMeasures(w, first, len(load))
	return r
}

// second lets what is due land, and works one second's load.
func (r *run) second(now int, rate float64) {
	if now >= r.next {
		r.land(now)
	}
	if r.stands {
		r.order(now)
	}
	if now >= r.nextOutage {
		r.lost = r.w.lost(now)
	}
	serving := r.serving()
	perCell := r.w.rateAt(now)
	arrived := r.arrivals(rate)
	usual := float64(serving) * perCell * max(0, 1+r.w.CellNoise*r.cellNoise.NormFloat64())
	capacity, paused := usual, 0.0
	if now < r.pausedUntil {
		capacity, paused = 0, float64(r.pausedUntil-now-1)
	}
	waiting := r.backlog + r.work(arrived)
	served := min(waiting, capacity)
	r.backlog = waiting - served
	r.seen.add(arrived, served, capacity)
	r.measure.add(r.w, arrived, served, serving, perCell, r.wait(usual, paused))
	if r.w.Truer.Queueing && r.backlog == 0 {
		r.measure.queued(r.w, arrived, rate, serving, perCell)
	}
}

// wait is how long a request that comes now will wait, in seconds.
func (r *run) wait(capacity, paused float64) float64 {
	switch {
	case r.backlog <= 0:
		return 0
	case capacity <= 0:
		return math.Inf(1)
	default:
		return paused + r.backlog/capacity
	}
}

// serving counts the ready cells. A removal may land before the births it was
// ordered after.
func (r *run) serving() int {
	n := max(0, r.alive)
	if r.lost > 0 {
		n -= int(math.Floor(r.lost * float64(n)))
	}
	return n
}

// land lets those orders take effect whose time has come.
func (r *run) land(now int) {
	for i := 0; i < len(r.book); {
		if r.lands[i] > now {
			i++
			continue
		}
		order, landed := r.book[i], r.lands[i]
		r.book = slices.Delete(r.book, i, i+1)
		r.lands = slices.Delete(r.lands, i, i+1)
		failed := r.failures(order.Delta)
		r.alive += order.Delta - failed
		if order.Delta != failed {
			r.landed(order, landed)
		}
		if failed > 0 {
			r.place(failed, landed, int(r.w.Truer.FailWait/time.Second))
		}
	}
	r.next = never
	for _, second := range r.lands {
		r.next = min(r.next, second)
	}
}

func (r *run) landed(order Flight, now int) {
	r.measure.landings++
	r.recent = append(r.recent, recentLanding{now, order.Delta < 0})
	r.pausedUntil = max(r.pausedUntil, now+int(r.w.Truer.Pause/time.Second))
	if order.Delta > 0 || r.w.Serial && r.w.Takes == nil {
		r.taken.add(float64(now) - order.Placed)
	}
}

// decide asks the law, and orders what it says.
func (r *run) decide(now, every int) {
	seen := r.seen.take(every)
	seen.Second, seen.Ordered, seen.Ready = now, r.ordered, r.serving()
	seen.InFlight, seen.Backlog, seen.BirthMedian = r.book, r.backlog, r.taken.value()
	seen.Rebalancing = now < r.pausedUntil
	if r.pausedUntil > 0 {
		seen.Pause = r.w.Truer.Pause.Seconds()
	}
	seen.Changes, seen.Downs = r.changes(now)
	r.bound(now)
	seen.Min, seen.Max = r.w.Min, r.w.Max
	r.wanted = r.cut(r.law.Decide(seen))
	r.order(now)
}

// order places what the law wants. Where orders can't overlap, the one before must
// have ended.
func (r *run) order(now int) {
	if r.wanted != r.ordered && (!r.w.Serial || len(r.book) == 0 && now >= r.free) {
		r.place(r.wanted-r.ordered, now, 0)
		r.ordered = r.wanted
	}
}

// place puts an order into the book. It begins after wait seconds.
func (r *run) place(delta, now, wait int) {
	takes, ends := r.takes(now, delta)
	r.book = append(r.book, Flight{Delta: delta, Placed: float64(now), Expected: float64(now+wait) + r.taken.value()})
	lands := now + wait + max(1, int(math.Round(takes)))
	r.free = now + wait + int(math.Round(ends))
	r.lands = append(r.lands, lands)
	r.next = min(r.next, lands)
}

// takes is how long an order takes, until it lands and until it has ended.
func (r *run) takes(now, delta int) (lands, ends float64) {
	if r.w.Takes != nil {
		return r.w.Takes(now, delta)
	}
	lands = r.w.Birth.Seconds() * math.Exp(r.w.BirthSigma*r.births.NormFloat64()) * r.late()
	return lands, lands
}

// changes counts the landings of the last hour.
func (r *run) changes(now int) (all, downs int) {
	old := 0
	for old < len(r.recent) && r.recent[old].second <= now-3600 {
		old++
	}
	if old > 0 {
		r.recent = r.recent[:copy(r.recent, r.recent[old:])]
	}
	for _, landing := range r.recent {
		if landing.down {
			downs++
		}
	}
	return len(r.recent), downs
}

func (w *World) bounded(n int) int {
	if w.Max > 0 {
		n = min(n, w.Max)
	}
	return max(n, w.Min)
}

func (w *World) lost(now int) float64 {
	share := 0.0
	for _, o := range w.Outages {
		if at := time.Duration(now) * time.Second; at >= o.From && at < o.Until {
			share = max(share, o.Share)
		}
	}
	return share
}

func mean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
