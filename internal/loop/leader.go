package loop

import (
	"context"
	"log/slog"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// Leader decides and acts for one service while it holds the service's lock.
//
// One goroutine, Run, owns everything the leader knows. Work that takes long
// (Terraform) is done by one worker at a time, which hands its result back;
// meanwhile the beats go on, so that the newest decision is taken when the
// worker ends.
//
//	         +--------------------- beat ---------------------+
//	prepare -+-> look -> decide -> who is dead -> step -> order -> worker
//	         +----------------- result, at once <-------------------+
type Leader struct {
	LeaderConfig
	lease *fleet.Lease
	// Root is the root module, open since the last preparation.
	Root *act.Root

	// prepared is set once record, shape and held are known; stale asks for the
	// record to be read again.
	prepared, stale bool
	// unwritten is set while the record knows more than Consul does.
	unwritten bool
	record    fleet.Record
	index     uint64 // the record's in Consul; 0 while there is none
	shape     guard.Shape
	held      map[string]heldCell

	// failed are cells whose birth failed for good, gone are those that a
	// refresh missed, lastSeen is how each cell was registered last.
	failed, gone []string
	lastSeen     map[string]fleet.Member
	unlisted     unlisted // who was missed by the last refresh
	// obstructed is set while the guard refuses the order in the record because
	// the plan would change cells that it keeps.
	obstructed bool
	// strangers are registrations that were told of; sweptAt is when tombstones
	// were last swept.
	strangers map[string]bool
	sweptAt   time.Time

	standIns sense.StandIns
	eyes     *eyes
	table    *policy.Timetable // of the bounds, once it was asked
	seen     view              // the last look
	memory   memory
	deaths   deathWatch
	mourned  []string // the dead that were told of
	mail     mail
	// slowHeld is why slow cells are not judged, or nothing.
	slowHeld string
	last     balance.Decision
	fore     foresight // which order is likely next, and its plan
	told     report

	busy     string                 // what the worker does, or nothing
	results  chan result            // of the worker
	failures int                    // tries in a row that failed before anything changed
	retry    time.Time              // nothing is tried before this instant
	trouble  string                 // what was in the way of the last try
	drift    []guard.Refusal        // what the last plan left alone outside the cells
	renewal  string                 // what is in the way of renewing cells
	strange  map[strangeChange]bool // changes of others that no lesson has explained
	rested   bool                   // the service was paused in Consul, and all must be read anew
	patient  bool                   // it is one beat that a person asked for
	debt     debt                   // what depends on the cells and may not be as they are
	shards   shards                 // where the cells of a service are that is spread
}

// Process says which process leads, for the note that lets another break the
// state lock this one might leave.
type Process struct {
	Machine, Boot, Host string
	PID                 int
	Started             uint64 // clock ticks after boot
}

// LeaderConfig is what a leader works with.
type LeaderConfig struct {
	Service *policy.Service
	// Open opens the root module as it is now.
	Open   func() (*act.Root, error)
	Fleet  *fleet.Client
	Holder fleet.Holder
	// Behind are the services that this one needs.
	Behind []*policy.Service
	// Front are the services that need this one and whose work can wait.
	Front []*policy.Service
	// Bundle is what the service is led from: the one published when the leader
	// began, empty where nothing was. Another one ends it.
	Bundle string
	// Generation is that of the leader's own cell; its children have one more.
	Generation int
	Self       Process
	// Feeders are the services whose cells have a spool before the topic of this one.
	Feeders []string
	Sources Sources
	Metrics *Metrics
	Log     *slog.Logger
	// YieldTo is asked each beat whether a guest should give the lock back; nil
	// for the service's own sidecars.
	YieldTo func([]fleet.Member) bool
	// Guests says that sidecars of other services may lead this one.
	Guests bool
	// PauseFile stops deciding and doing while it exists; it is honoured
	// without Consul. Empty for none.
	PauseFile string
	// Incarnation makes the name of a new life of a cell; Jitter is a random
	// number in [0,1), so that services that failed together don't try again
	// together.
	Incarnation func() string
	Jitter      func() float64
	// Now is the clock.
	Now func() time.Time
}

// heldCell is a cell as Terraform's state holds it. A tainted one is half-born:
// Terraform would make it anew.
type heldCell struct {
	Tainted bool
	Shard   int // whose state holds it; 0 for a service that isn't spread
}

// NewLeader returns a leader that hasn't begun.
func NewLeader(cfg LeaderConfig, lease *fleet.Lease) *Leader {
	cfg.Log = cfg.Log.With("service", cfg.Service.Name)
	return &Leader{
		LeaderConfig: cfg,
		lease:        lease,
		held:         map[string]heldCell{},
		lastSeen:     map[string]fleet.Member{},
		strangers:    map[string]bool{},
		strange:      map[strangeChange]bool{},
		eyes:         newEyes(cfg.Service),
		deaths:       deathWatch{After: cfg.Service.Replace.After, MassHold: cfg.Service.Replace.MassHold},
		mail:         mail{asked: map[string]sent{}},
		results:      make(chan result, 1),
		fore:         foresight{pace: balance.Pace{Least: cfg.Service.PlanAhead.Pause, Most: cfg.Service.PlanAhead.PauseMax}},
	}
}

// Run leads until ctx ends, the lease is lost or the leader steps down. It
// waits for a running apply to end: Terraform's state is never left half
// written by us. It returns why it ended.
func (l *Leader) Run(ctx context.Context) error {
	l.Metrics.leader.WithLabelValues(l.Service.Name).Set(1)
	defer l.Metrics.forget(l.Service.Name)
	defer l.endAhead()
	ticker := time.NewTicker(l.Service.Beat)
	defer ticker.Stop()
	if err := l.beat(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			l.finish(ctx)
			return ctx.Err()
		case <-l.lease.Lost():
			l.Log.Warn("the lock was lost: deciding and starting nothing more", "running", l.busy)
			l.finish(ctx)
			return l.lease.Err()
		case r := <-l.results:
			l.landed(ctx, r)
		case <-ticker.C:
		}
		if err := l.beat(ctx); err != nil {
			l.finish(ctx)
			return err
		}
	}
}

// finish waits for the worker and writes down what it has done, as far as the
// lock still allows it. An apply is let run to its end; its time limit is
// Terraform's.
func (l *Leader) finish(ctx context.Context) {
	if l.busy == "" {
		return
	}
	l.Log.Info("waiting for what runs to end", "running", l.busy)
	l.landed(context.WithoutCancel(ctx), <-l.results)
}

// roster returns the record as a list of cells. With a bare count the record
// has no names: a cell is its index.
func (l *Leader) roster() roster { return l.rosterOf(l.record) }

func (l *Leader) rosterOf(record fleet.Record) roster {
	r := roster{
		Service: l.Service.Name, Named: l.Root == nil || l.Root.Module().Named, HoldsData: l.Service.HoldsData,
		OneByOne: l.movesData(),
		Names:    record.Names, Next: record.Next,
	}
	if !r.Named {
		r.Names = nil
		for i := range record.Count {
			r.Names = append(r.Names, cellName(l.Service.Name, i))
		}
	}
	return r
}

func (l *Leader) cells() []string { return l.roster().Names }

func (l *Leader) books(surge int) books {
	return books{names: l.cells(), orders: l.record.Orders, held: l.held, surge: surge}
}

// start lets the worker do one thing, once nothing runs any more that was begun
// ahead. It must not be busy.
func (l *Leader) start(ctx context.Context, what string, work func(context.Context) result) {
	l.busy = what
	// The work outlives the leader's own end: an apply is let end.
	ctx = context.WithoutCancel(ctx)
	l.dropAhead(aheadRest)
	last := l.fore.last
	go func() {
		last.wait()
		l.results <- work(ctx)
	}()
}
