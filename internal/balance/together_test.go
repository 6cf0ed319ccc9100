package balance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// tier is one service of a chain: its cells, and what it measures.
type tier struct {
	cfg          Config
	law          *Runner
	d            Decision
	ready        int
	orders       []Order
	changes      []int // second of each change of the order
	offered      float64
	served, busy []float64 // of the last minute's seconds
	rate         float64   // of a cell, per second
}

func (s *tier) ordered() int {
	n := s.ready
	for _, o := range s.orders {
		n += o.Delta
	}
	return n
}

// chain is a search engine in fluid form: crawlers take pages from a topic, fetch
// them and push each to an API, whose clients come first; each request of either
// takes a share of a database. What the API refuses a crawler it tries again, so
// that its cells are busy and get nowhere.
type chain struct {
	db, api, crawler tier
	clients, pages   float64 // per second
	lag              float64
	now              time.Time
	together         bool
	roomy            float64 // the database's room
	// slow counts the seconds in which clients waited, early the orders of crawlers for
	// which the API had not ordered enough.
	slow, early int
}

const chainBirth = time.Minute

func newChain(together bool, mostAPI int) *chain {
	c := &chain{now: epoch, together: together, roomy: 1}
	law := Law{}
	c.db = tier{ready: 1, rate: 400, cfg: Config{Min: 1, Max: 3, BoundsOnly: true, Serial: true, Law: law}}
	c.api = tier{ready: 2, rate: 100, cfg: Config{Min: 1, Max: mostAPI, Requests: true, WaitBound: time.Second, LatencyUpper: time.Second, Serial: true, Law: law}}
	c.crawler = tier{ready: 2, rate: 10, cfg: Config{Min: 1, Max: 60, WaitBound: 30 * time.Second, Serial: true, Yields: together, Law: law}}
	return c
}

// second moves load and births on.
func (c *chain) second() {
	db := float64(c.db.ready) * c.db.rate
	api := min(float64(c.api.ready)*c.api.rate, db)
	push := min(float64(c.crawler.ready)*c.crawler.rate, c.lag+c.pages)
	clients := min(c.clients, api)
	pushed := min(push, api-clients)
	c.lag += c.pages - pushed
	c.api.tell(c.clients+push, clients+pushed, (clients+pushed)/(float64(c.api.ready)*c.api.rate))
	busy := push / (float64(c.crawler.ready) * c.crawler.rate)
	c.crawler.tell(c.pages, pushed, busy) // waiting for the API is being busy
	c.roomy = max(0, 1-(clients+pushed)/(0.8*db))
	if c.clients > 0.98*api {
		c.slow++
	}
	for _, s := range []*tier{&c.db, &c.api, &c.crawler} {
		s.land(c.now)
	}
	c.now = c.now.Add(time.Second)
}

func (s *tier) tell(offered, served, busy float64) {
	s.offered = offered
	s.served, s.busy = append(s.served, served), append(s.busy, busy)
	if len(s.served) > 60 {
		s.served, s.busy = s.served[1:], s.busy[1:]
	}
}

func (s *tier) land(now time.Time) {
	for len(s.orders) > 0 && !s.orders[0].Expected.After(now) {
		s.ready, s.orders = s.ready+s.orders[0].Delta, s.orders[1:]
	}
}

// beat lets the three leaders decide, each by what the others told in the last one.
func (c *chain) beat(second int) {
	at := c.now
	asked := map[string][]Request{}
	if c.together {
		for from, s := range map[string]*tier{"api": &c.api, "crawler": &c.crawler} {
			for _, a := range s.d.Asks {
				asked[a.Service] = append(asked[a.Service], Request{From: from, Floor: a.Floor, Ceiling: a.Ceiling, Reason: a.Reason, Expires: at.Add(time.Minute)})
			}
		}
	}
	need, load := c.api.d.Tells(at)
	count := func(s *tier) reading.Reading { return reading.Of(float64(s.ordered()), at) }
	c.db.decide(second, Observation{At: at, Requests: asked["db"]})
	api := Observation{At: at, Requests: asked["api"], Latency: reading.Of(0.2, at)}
	if c.clients > 0.98*min(float64(c.api.ready)*c.api.rate, float64(c.db.ready)*c.db.rate) {
		api.Latency = reading.Of(3, at)
	}
	crawler := Observation{At: at, Requests: asked["crawler"], Lag: reading.Of(c.lag, at), CommitInterval: reading.Of(1, at), Partitions: reading.Of(100, at)}
	if c.together {
		api.Behind = []Behind{{Service: "db", Count: count(&c.db), Ready: c.db.ready, Max: c.db.cfg.Max, Room: reading.Of(c.roomy, at),
			Need: reading.Of((1-c.roomy)*float64(c.db.ready), at)}}
		api.Front = []Front{{Service: "crawler", Count: count(&c.crawler), Ready: c.crawler.ready, Min: c.crawler.cfg.Min}}
		crawler.Behind = []Behind{{Service: "api", Count: count(&c.api), Ready: c.api.ready, Max: c.api.cfg.Max, Need: need, Load: load, Room: reading.Unknown("it isn't measured")}}
	}
	c.api.decide(second, api)
	before := c.crawler.ordered()
	c.crawler.decide(second, crawler)
	if n := c.crawler.ordered(); n > before && c.clients+min(c.pages, float64(n)*c.crawler.rate) > float64(c.api.ordered())*c.api.rate {
		c.early++
	}
}

func (s *tier) decide(second int, o Observation) {
	mean := func(of []float64) float64 {
		sum := 0.0
		for _, v := range of {
			sum += v
		}
		return sum / float64(max(1, len(of)))
	}
	o.Ordered, o.Ready, o.InFlight = s.ordered(), s.ready, s.orders
	o.BirthMedian = reading.Of(chainBirth.Seconds(), o.At)
	if !s.cfg.BoundsOnly {
		o.Offered, o.Served, o.BusyMax = reading.Of(s.offered, o.At), reading.Of(mean(s.served), o.At), reading.Of(mean(s.busy), o.At)
	}
	for _, at := range s.changes {
		if second-at < 3600 {
			o.Changes++
		}
	}
	if s.law == nil {
		s.law = NewRunner(s.cfg, State{})
	}
	s.d = s.law.Decide(o)
	if delta := s.d.Desired - o.Ordered; delta != 0 && len(s.orders) == 0 {
		s.orders = append(s.orders, Order{Delta: delta, Placed: o.At, Expected: o.At.Add(chainBirth)})
		s.changes = append(s.changes, second)
	}
}

// run lets time pass at a load.
func (c *chain) run(from, seconds int) int {
	for s := from; s < from+seconds; s++ {
		if c.second(); s%5 == 0 {
			c.beat(s)
		}
	}
	return from + seconds
}

// changesSince counts the orders of all tiers from a second on.
func (c *chain) changesSince(second int) int {
	n := 0
	for _, s := range []*tier{&c.db, &c.api, &c.crawler} {
		i, _ := slices.BinarySearch(s.changes, second)
		n += len(s.changes) - i
	}
	return n
}

// TestTiersGrowInOrder doubles the pages of a chain that was just enough: the API
// is asked for its part before the crawlers grow, and clients wait for nothing.
func TestTiersGrowInOrder(t *testing.T) {
	c := newChain(true, 20)
	c.clients, c.pages = 60, 15
	at := c.run(0, 3600)
	c.pages = 300
	slow := c.slow
	at = c.run(at, 3600)
	if c.slow > slow || c.early > 0 {
		t.Errorf("clients waited for %d s; %d orders of crawlers came before the API's", c.slow-slow, c.early)
	}
	c.run(at, 3600)
	if c.crawler.ready < 30 || c.crawler.ready > 50 || c.api.ready < 4 || c.api.ready > 8 || c.lag > 3000 {
		t.Errorf("%d db, %d api, %d crawlers, lag %.0f: %s; %s", c.db.ready, c.api.ready, c.crawler.ready, c.lag, c.api.d.Reason, c.crawler.d.Reason)
	}
}

// TestCrawlersHoldBackBeforeAnAPIThatCanNotGrow has more pages than the API can
// take beside its clients. Each for itself the crawlers grow without end, since none
// of them gets anything done; together they stay at about what the API takes.
func TestCrawlersHoldBackBeforeAnAPIThatCanNotGrow(t *testing.T) {
	most := map[bool]int{}
	for _, together := range []bool{false, true} {
		c := newChain(together, 3)
		c.clients, c.pages = 60, 20
		at := c.run(0, 3600)
		c.pages = 400
		at = c.run(at, 7200)
		t.Logf("together %v: %d db, %d api, %d crawlers, changes in the last hour %d; api: %s [%s]; crawler: %s [%s, by %q]", together,
			c.db.ready, c.api.ready, c.crawler.ready, c.changesSince(at-3600), c.api.d.Reason, c.api.d.Code, c.crawler.d.Reason, c.crawler.d.Code, c.crawler.d.CappedBy)
		most[together] = c.crawler.ready
		if together && !strings.Contains(c.crawler.d.Reason, "ceiling asked for by api") {
			t.Errorf("the crawlers say: %s", c.crawler.d.Reason)
		}
	}
	// The API takes 240 pages a second, 24 crawlers' worth.
	if most[true] > 30 || most[false] < 55 {
		t.Errorf("crawlers: %v", most)
	}
}

// TestTiersSettle draws loads of clients and pages that step once. What can be served
// is, and deciding together adds no orders to those of each for itself.
func TestTiersSettle(t *testing.T) {
	loads := rapid.Custom(func(t *rapid.T) [4]float64 {
		draw := func(name string, least int) float64 { return float64(rapid.IntRange(least, 300).Draw(t, name)) }
		return [4]float64{draw("clients", 10), draw("pages", 0), draw("clients then", 10), draw("pages then", 0)}
	})
	checks := 6
	if testing.Short() {
		checks = 3
	}
	for seed := range checks {
		load := loads.Example(seed)
		var late [2]int
		for i, together := range []bool{false, true} {
			c := newChain(together, 20)
			c.clients, c.pages = load[0], load[1]
			at := c.run(0, 5400)
			c.clients, c.pages = load[2], load[3]
			at = c.run(at, 9000)
			late[i] = c.changesSince(at - 3600)
			served := float64(c.api.ready)*c.api.rate >= load[2]+load[3] && float64(c.crawler.ready)*c.crawler.rate >= 0.95*load[3] && c.lag < 30*max(load[3], 30)
			if fits := load[2]+load[3] < 0.75*3*c.db.rate; together && fits && !served {
				t.Errorf("load %v: %d db, %d api, %d crawlers, lag %.0f: %s; %s", load, c.db.ready, c.api.ready, c.crawler.ready, c.lag, c.api.d.Reason, c.crawler.d.Reason)
			}
		}
		if late[1] > max(6, late[0]+2) {
			t.Errorf("load %v: %d orders in the last hour, each for itself %d", load, late[1], late[0])
		}
	}
}

// TestCeilingTakesNothingAwayBlindly: cells above a ceiling go in steps, but like all
// that another service asks for it comes after what keeps cells. The policy's max
// doesn't.
func TestCeilingTakesNothingAwayBlindly(t *testing.T) {
	tests := []struct {
		name    string
		set     func(*service)
		desired int
		code    string
	}{
		{"in steps", func(*service) {}, 16, CodeBounds},
		{"whatever the lag", func(s *service) { s.obs.Lag = per(1e6) }, 16, CodeBounds},
		{"within the hour's changes", func(s *service) { s.obs.Changes = 11 }, 16, CodeBounds},
		{"no offered rate", func(s *service) { s.obs.Offered = reading.Unknown("away") }, 40, CodeUnknownOffered},
		{"no lag", func(s *service) { s.obs.Lag = reading.Unknown("away") }, 40, CodeUnknownLag},
		{"no latency", func(s *service) { s.cfg.LatencyUpper = time.Second }, 40, CodeUnknownLatency},
		{"the hour's changes are used up", func(s *service) { s.obs.Changes = 12 }, 40, CodeFlapBudget},
		{"a birth in flight", func(s *service) { s.obs.InFlight = []Order{{Delta: 1, Expected: s.obs.At.Add(time.Hour)}} }, 40, CodeWaitingForBirth},
		{"above the policy's max, too", func(s *service) { s.cfg.Max, s.obs.Changes, s.obs.Lag.Known = 30, 12, false }, 30, CodeBounds},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newService(t, 40)
			s.cfg.Yields = true
			s.obs.Requests = []Request{{From: "api", Ceiling: 10, Reason: "it has too few", Expires: epoch.Add(time.Hour)}}
			tt.set(s)
			s.beats(1)
			s.want(tt.desired, tt.code)
			if kept := "no more than 10 may be, ceiling asked for by api, and 40 are ordered: kept, since "; tt.code == CodeFlapBudget && !strings.HasPrefix(s.d.Reason, kept) {
				t.Error(s.d.Reason)
			}
			if a := s.d.Answers[0].Reason; (tt.desired == 40) != strings.HasPrefix(a, "not now: ") {
				t.Error(a)
			}
		})
	}
}

// TestCeilingAfterAGap has as many beats with readings follow as were without, as for any
// release.
func TestCeilingAfterAGap(t *testing.T) {
	s := newService(t, 40)
	s.cfg.Yields = true
	s.obs.Requests = []Request{{From: "api", Ceiling: 10, Reason: "it has too few", Expires: epoch.Add(time.Hour)}}
	offered := s.obs.Offered
	s.obs.Offered = reading.Unknown("away")
	s.beats(2)
	s.want(40, CodeUnknownOffered)
	s.obs.Offered = offered
	s.beats(1)
	s.want(40, CodeSettling)
	if !strings.Contains(s.d.Reason, "5s of readings must follow those that were missing") {
		t.Error(s.d.Reason)
	}
	s.beats(1)
	s.want(16, CodeBounds)
}

// TestCeilingOfWhomNobodySees moves no ceiling down while it isn't known how many
// cells are in front: that none is ready there may only be unread.
func TestCeilingOfWhomNobodySees(t *testing.T) {
	c := ceiling{Service: "crawler", Ceiling: 10, Patience: 1}
	away := Front{Service: "crawler", Count: reading.Unknown("away"), Min: 1}
	for range 100 {
		if !c.move(&away, true, true, 12) || c.Ceiling != 10 {
			t.Fatalf("moved to %d", c.Ceiling)
		}
	}
	seen := Front{Service: "crawler", Count: reading.Of(10, time.Time{}), Ready: 10, Min: 1}
	for range 12 {
		c.move(&seen, true, true, 12)
	}
	if c.Ceiling != 8 {
		t.Errorf("%d after a minute in which all was seen, want 8", c.Ceiling)
	}
}
