package cell

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// Application is what a cell's sidecar asks of the application beside it.
type Application interface {
	// Well reports whether the application is well, and if not, why.
	Well() (bool, string)
	// Scrape reads the application's own metrics.
	Scrape(context.Context) (*sense.Scrape, error)
	// Drain asks it to finish what it has and take no more, or takes that back.
	Drain(ctx context.Context, begin bool) error
}

// Spool is what a cell's sidecar asks of the spool beside the application.
type Spool interface {
	// Depths is how many messages wait, by topic.
	Depths() map[string]int
	// Hurry sets whether all go at once, whatever clients need.
	Hurry(on bool)
	// Flush returns once none is left, or with an error that says what is.
	Flush(context.Context) error
}

// Proxy is what stands before the application and measures what comes to it.
type Proxy interface {
	// Traffic is what it has seen since its start.
	Traffic() sense.Traffic
	// Report is the cell's load now.
	Report() load.Report
	// Drain begins to send callers elsewhere, or takes that back.
	Drain(begin bool)
	// Idle says whether nothing is in flight nor waits.
	Idle() bool
}

// Config is what a cell's sidecar works with.
type Config struct {
	Service *policy.Service
	// Identity is how the cell registers.
	Identity fleet.Cell
	Fleet    *fleet.Client
	App      Application
	// Spool holds the messages that the application gave; nil where there is none.
	Spool Spool
	// Adopted is how many messages wait in the spools of cells that are gone, which this
	// one's sidecar sends, by cell and topic; nil where it sends none.
	Adopted func() map[string]map[string]int
	// Stop lets go of what the sidecar does beside the cell, such as leading, and
	// ends the application, in order that the cell can leave. It may be called
	// again.
	Stop func(context.Context) error
	// Leave removes from the machine what the cell's birth has installed, as the
	// order says. It may be called again after it was cut or failed. Nil: the cell
	// can't leave by order.
	Leave func(context.Context, fleet.LeaveOrder) error
	// Reusable says that Leave has the machine let births in again, if the order
	// wants that.
	Reusable bool
	// Database looks at the database that the cell is; nil for one that is none.
	Database func(context.Context) sense.Database
	// Door is what to say of the access by which the cell's birth got in; nil where
	// nobody did.
	Door func() string
	// Proxy stands before the application; nil where nothing does.
	Proxy Proxy
	// Move moves what the cell holds to others of its service; nil where the policy
	// has no command for that.
	Move func(context.Context) error
	// Version names the application's version, for what is learned of it.
	Version string
	Log     *slog.Logger
	Now     func() time.Time
}

// Cell is the sidecar's side of its own cell: it registers it, pushes its
// health, measures its vitals and drains it when it is to leave.
type Cell struct {
	Config
	meter   *sense.CellMeter
	traffic *sense.TrafficMeter

	mu       sync.Mutex
	vitals   sense.Vitals
	database *sense.Database // as last looked at
	looked   time.Time       // when that was
	draining string          // why, or nothing
	since    time.Time
	// ordered is set while the leader's mark stands, asked while somebody
	// asked this sidecar itself to drain, leaving once the cell leaves by order.
	ordered, asked, leaving string
	slow                    string            // why the leader calls it slow, or nothing
	order                   *fleet.LeaveOrder // that is carried out
	unready                 map[string]string // why it can't lead, by service
	// told is whether the application was told to drain, since toldAt. During a
	// call and after one that failed it may have heard it or not: unsure.
	told, unsure bool
	toldAt       time.Time
	nudge        chan struct{} // wakes who tells it
	// moved is whether what the cell holds has been moved for the leader's mark
	// that stands, moving how that fares, stopMoving stops it, and move wakes who
	// does it.
	moved      bool
	moving     string
	stopMoving context.CancelFunc
	move       chan struct{}
}

// New returns a cell that hasn't registered yet.
func New(cfg Config) *Cell {
	s := cfg.Service
	meter := sense.CellConfig{
		Busy: s.Metrics.Busy, Workers: s.Metrics.Workers, InFlight: s.Metrics.InFlight,
		Window: s.Law.RateWindow,
	}
	if s.Latency != nil {
		meter.Histogram, meter.Labels = s.Latency.Histogram, s.Latency.Labels
	}
	if s.Requests != nil {
		meter.Arrived, meter.Refused = s.Requests.Arrived, s.Requests.Refused
	}
	why := reading.Unknown("not measured yet")
	return &Cell{
		Config:  cfg,
		meter:   sense.NewCellMeter(meter),
		traffic: sense.NewTrafficMeter(s.Law.RateWindow, s.Metrics.InFlight != ""),
		nudge:   make(chan struct{}, 1),
		move:    make(chan struct{}, 1),
		vitals:  sense.Vitals{InFlight: why, Busy: why, Offered: why, Served: why, Refused: why, SpoolDepth: why, LatencyReason: why.Reason},
	}
}

// Run keeps the cell registered until ctx ends, or the cell has left by order;
// then it deregisters it. It returns ErrLeft of a cell that has left.
func (c *Cell) Run(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error { c.pushHealth(running); return nil })
	g.Go(func() error { c.measure(running); return nil })
	g.Go(func() error { c.watchDatabase(running); return nil })
	g.Go(func() error { c.watchMark(running); return nil })
	g.Go(func() error { c.tellDrain(running); return nil })
	g.Go(func() error { c.moveData(running); return nil })
	g.Go(func() error { c.watchSlow(running); return nil })
	g.Go(func() error { c.remember(running); return nil })
	left := c.followOrders(running)
	stop()
	_ = g.Wait() // they end with their context, and say what goes wrong in the log
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := c.Fleet.Deregister(bye, c.Identity.ID()); err != nil {
		c.Log.Warn("could not deregister; the leader will", "cell", c.Identity.Name, "error", err)
	}
	if left {
		return c.lastWord(ctx)
	}
	return ctx.Err()
}

// remember writes down the cell's birth, once it is over.
func (c *Cell) remember(ctx context.Context) {
	for wait.For(ctx, time.Second) == nil {
		if ok, _ := c.App.Well(); !ok {
			continue
		}
		err := c.Fleet.Remember(ctx, c.Identity)
		if err == nil {
			return
		}
		c.Log.Debug("could not write down the birth; trying again", "cell", c.Identity.Name, "error", err)
	}
}

// How often the application's health is looked at: closely until the cell is
// well for the first time, since a birth ends with that.
const (
	lookNewborn = 50 * time.Millisecond
	lookGrown   = 250 * time.Millisecond
)

// pushHealth pushes each change at once, and otherwise three times a TTL. What
// it can't push it tries again every second; an absent Consul is told of once.
func (c *Cell) pushHealth(ctx context.Context) {
	var (
		last   fleet.Health
		output string
		due    time.Time
		door   string
		known  published
		lost   bool
		every  = lookNewborn
	)
	for {
		health, why := c.health()
		if c.Door != nil {
			door = c.Door()
		}
		changed := !lost && (health != last || why != output || door != known.door)
		if changed || !c.Now().Before(due) {
			err := c.push(ctx, &known, health, why, door)
			c.tellLost(&lost, err)
			last, output, due = health, why, c.Now().Add(c.Identity.TTL/3)
			if err != nil {
				due = c.Now().Add(time.Second)
			}
		}
		if last == fleet.Passing {
			every = lookGrown
		}
		if wait.For(ctx, every) != nil {
			return
		}
	}
}

// published is what all of Consul was last told of the cell's health, when, and
// until when a new word for the same status waits.
type published struct {
	health    fleet.Health
	output    string
	door      string
	at, until time.Time
}

// push pushes the health. A new status is seen everywhere at once. A new word
// for the same status, such as why a birth doesn't come to its end, Consul
// spreads only within minutes: it is helped on, three times a TTL at most. So is
// the first one after a silence, which Consul may have put its own word to, and
// what becomes of the door, which a birth waits for.
func (c *Cell) push(ctx context.Context, last *published, health fleet.Health, why, door string) error {
	send, now, until := c.Fleet.Push, c.Now(), last.until
	who := c.Identity
	who.Door = door
	silent := now.Sub(last.at) >= c.Identity.TTL
	news := health == last.health && why != last.output && !now.Before(until)
	if news || silent && health != fleet.Passing || door != last.door {
		send = c.Fleet.Spread
	}
	if err := send(ctx, who, health, why); err != nil {
		*last = published{}
		return err
	}
	if news || silent || health != last.health {
		*last, until = published{health: health, output: why}, now.Add(c.Identity.TTL/3)
	}
	last.at, last.until, last.door = now, until, door
	return nil
}

// tellLost logs when Consul is lost and when it is back.
func (c *Cell) tellLost(lost *bool, err error) {
	switch {
	case err != nil && !*lost:
		c.Log.Warn("could not push the cell's health; going on trying", "cell", c.Identity.Name, "error", err)
	case err == nil && *lost:
		c.Log.Info("the cell's health is pushed again", "cell", c.Identity.Name)
	}
	*lost = err != nil
}

// health is what the cell says of itself: critical while the application isn't
// well, warning while it drains or is slow, so that it is spared new work.
func (c *Cell) health() (fleet.Health, string) {
	if ok, why := c.App.Well(); !ok {
		return fleet.Critical, why
	}
	if why := c.Draining(); why != "" {
		return fleet.Warning, "draining: " + why + c.movingNow()
	}
	if why := c.isSlow(); why != "" {
		return fleet.Warning, "slow: " + why
	}
	return fleet.Passing, c.wellBut()
}

// Unready has the cell say, beside being well, why it can't lead a service; an empty
// reason takes that back.
func (c *Cell) Unready(service, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unready == nil {
		c.unready = map[string]string{}
	}
	c.unready[service] = why
}

func (c *Cell) wellBut() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := "well"
	for _, service := range slices.Sorted(maps.Keys(c.unready)) {
		if why := c.unready[service]; why != "" {
			text += fmt.Sprintf("; can't lead %s: %s", service, why)
		}
	}
	return text
}

// measure scrapes the application each beat.
func (c *Cell) measure(ctx context.Context) {
	for {
		limit, cancel := context.WithTimeout(ctx, c.Service.Beat)
		scrape, err := c.App.Scrape(limit)
		cancel()
		v := c.meter.Observe(c.Now(), scrape, err)
		if c.Proxy != nil {
			c.traffic.Observe(c.Proxy.Traffic(), &v)
		}
		c.mu.Lock()
		c.vitals = v
		c.mu.Unlock()
		if wait.For(ctx, c.Service.Beat) != nil {
			return
		}
	}
}

// Vitals is what the sidecar knows of its cell now.
func (c *Cell) Vitals() sense.Vitals {
	ok, _ := c.App.Well()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.vitals
	v.Service, v.Cell, v.Incarnation = c.Identity.Service, c.Identity.Name, c.Identity.Incarnation
	v.Version = c.Version
	// Who waits for the end of a drain must not take idleness before the
	// application knows of it for that end.
	v.Draining = c.draining != "" && c.told && !c.unsure && v.At.After(c.toldAt)
	v.Moved = c.moved
	v.Well, v.Ready = ok, ok && c.draining == ""
	v.Database = c.databaseNow()
	if !v.At.IsZero() {
		v.Age = c.Now().Sub(v.At)
	}
	if c.Spool != nil {
		v.Spools = c.Spool.Depths()
		v.SpoolDepth = reading.Of(float64(v.SpoolTotal()), c.Now())
	}
	if c.Adopted != nil {
		v.Adopted = c.Adopted()
	}
	return v
}

// WithinBound says whether clients' latency is within its bound, as far as that is
// known.
func (c *Cell) WithinBound() bool {
	bound := c.Service.Latency
	c.mu.Lock()
	latency := c.vitals.Latency
	c.mu.Unlock()
	if bound == nil || latency == nil {
		return true
	}
	at, beyond, err := latency.Quantile(bound.Quantile)
	return err != nil || at <= bound.Upper.Seconds() && !beyond
}
