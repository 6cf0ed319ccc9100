package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// Sources are where a leader looks, beside Consul.
type Sources struct {
	// Lag samples the consumer group; nil for a service without a queue.
	Lag func(context.Context) sense.LagSample
	// Vitals asks the sidecars of the service.
	Vitals func(context.Context, []sense.Sibling) []sense.Result
	// Gone reports whether the process of a cell is proven to have ended. It
	// is false whenever that can't be told from here.
	Gone func(fleet.Cell) bool
	// Alive reports whether a process of this machine, known by its id and its
	// start in clock ticks after boot, still runs.
	Alive func(pid int, started uint64) bool
	// Terraforms lists the processes of this machine that run Terraform since
	// before the instant given.
	Terraforms func(before time.Time) ([]int, error)
}

// view is what the leader saw of a service in one beat. What it could not see
// carries an error, never an empty list.
type view struct {
	at         time.Time
	members    []fleet.Member
	index      map[string]int // where each is in members; nil for a view that has none
	membersErr error
	vitals     sense.ServiceVitals
	byCell     map[string]sense.Vitals
	lag        *sense.LagSample
	// spools are the depths of the spools before the service's topic, by cell and
	// life, as far as they are known.
	spools     map[string]int
	pin        *fleet.Pin
	paused     string // who paused, or nothing
	leaving    map[string]fleet.Leaving
	tombstones []fleet.Tombstone
	published  *fleet.Published
	requests   []fleet.Request // what other services ask of this one
	unread     error           // requests that hold something else
	slow       map[string]fleet.Slow
	behind     []balance.Behind // the services that this one needs
	front      []balance.Front  // those that need it and can wait
	consulErr  error            // pins, marks and tombstones are as of the last beat
	proven     bool             // the leader's own session was proven
}

// look gathers everything at the same time, within the given limit, so that
// one slow source doesn't make the others late.
func (l *Leader) look(ctx context.Context) view {
	s := l.Service
	v := view{
		at: l.Now(), byCell: map[string]sense.Vitals{},
		pin: l.seen.pin, paused: l.seen.paused, leaving: l.seen.leaving, tombstones: l.seen.tombstones, published: l.seen.published, requests: l.seen.requests, slow: l.seen.slow,
	}
	defer func() { l.seen = v }()
	ctx, cancel := context.WithTimeout(ctx, l.lookLimit())
	defer cancel()
	quantile := 0.99
	if s.Latency != nil {
		quantile = s.Latency.Quantile
	}
	var g errgroup.Group
	g.Go(func() error {
		v.members, v.membersErr = l.Fleet.Members(ctx, s.Name)
		v.index = indexOf(v.members)
		if v.membersErr == nil {
			v.ask(ctx, l.Sources, quantile, func(r []sense.Result) { l.standIns.Fill(r, l.Now(), 3*s.Beat) })
		}
		return nil
	})
	g.Go(func() error {
		if l.Sources.Lag != nil {
			sample := l.Sources.Lag(ctx)
			v.lag = &sample
		}
		return nil
	})
	g.Go(func() error {
		if s.KafkaLag != nil && len(l.Feeders) > 0 {
			v.spools = l.spools(ctx, s.KafkaLag.Topic)
		}
		return nil
	})
	g.Go(func() error {
		// Without a lease there is nothing to lose: a plan is only looked at.
		v.proven = l.lease == nil || l.lease.Check(ctx) == nil
		return nil
	})
	g.Go(func() error {
		v.consulErr = v.readMarks(ctx, l.Fleet, s.Name)
		return nil
	})
	g.Go(func() error {
		v.behind = l.lookBehind(ctx, v.at)
		return nil
	})
	g.Go(func() error {
		v.front = l.lookInFront(ctx, v.at)
		return nil
	})
	_ = g.Wait() // the functions above keep their errors in the view
	return v
}

// ask gathers the vitals of the members that have a sidecar.
func (v *view) ask(ctx context.Context, src Sources, quantile float64, standIn func([]sense.Result)) {
	var siblings []sense.Sibling
	for _, m := range v.members {
		// A silent cell is judged by the death watch; asked here it would only
		// make the whole unknown.
		if m.Vitals != "" && !m.Silent {
			siblings = append(siblings, sibling(m))
		}
	}
	results := src.Vitals(ctx, siblings)
	for _, r := range results {
		if r.Err == nil {
			v.byCell[r.Cell] = r.Vitals
		}
	}
	standIn(results) // after that: whether a cell is idle is known of now or not at all
	v.vitals = sense.Combine(v.at, results, quantile)
}

// spools asks the cells that have a spool before a topic how much it holds.
func (l *Leader) spools(ctx context.Context, topic string) map[string]int {
	var asked []sense.Sibling
	for _, service := range l.Feeders {
		members, err := l.Fleet.Members(ctx, service)
		if err != nil {
			l.Log.Debug("could not ask for the spools before the topic", "of", service, "topic", topic, "error", err)
			continue
		}
		for _, m := range members {
			if m.Vitals != "" && !m.Silent {
				asked = append(asked, sibling(m))
			}
		}
	}
	return depthsOf(l.Sources.Vitals(ctx, asked), topic)
}

// depthsOf are the depths of the spools before a topic. One that a cell has adopted
// is a spool of its own: what is in it was counted when it grew, so it must have
// gone from there when the topic has it.
func depthsOf(results []sense.Result, topic string) map[string]int {
	depths := map[string]int{}
	for _, r := range results {
		if r.Err != nil {
			continue
		}
		life := r.Cell + "." + r.Incarnation
		if depth, there := r.Vitals.Spools[topic]; there {
			depths[life] = depth
		}
		for cell, spools := range r.Vitals.Adopted {
			if depth, there := spools[topic]; there {
				depths[life+"/"+cell] = depth
			}
		}
	}
	return depths
}

func sibling(m fleet.Member) sense.Sibling {
	return sense.Sibling{Service: m.Service, Cell: m.Name, Incarnation: m.Incarnation, URL: m.Vitals}
}

// readMarks reads the keys that people and leaders set beside the record. On an
// error the view keeps those of the last look.
func (v *view) readMarks(ctx context.Context, c *fleet.Client, service string) error {
	pin, err := c.Pinned(ctx, service)
	if err != nil {
		return err
	}
	paused, err := pausedBy(ctx, c, service)
	if err != nil {
		return err
	}
	marks, err := c.Leaving(ctx, service)
	if err != nil {
		return err
	}
	tombstones, err := c.Tombstones(ctx, service)
	if err != nil {
		return err
	}
	published, err := c.Published(ctx, service)
	if err != nil {
		return err
	}
	requests, err := c.Requests(ctx, service)
	if _, corrupt := errors.AsType[*fleet.CorruptError](err); err != nil && !corrupt {
		return err
	}
	v.unread = err
	slow, err := c.Slow(ctx, service)
	if err != nil {
		return err
	}
	v.requests, v.slow = requests, slow
	v.pin, v.paused, v.tombstones, v.published = pin, paused, tombstones, published
	v.leaving = make(map[string]fleet.Leaving, len(marks))
	for _, m := range marks {
		v.leaving[m.Cell] = m
	}
	return nil
}

func pausedBy(ctx context.Context, c *fleet.Client, service string) (string, error) {
	p, err := c.Paused(ctx, service)
	if err != nil || p == nil {
		return "", err
	}
	what := "this service is paused"
	if p.All {
		what = "all services are paused"
	}
	return fmt.Sprintf("%s by %s since %s", what, cmp.Or(p.By, "somebody"), p.Since.Format(time.RFC3339)), nil
}

// pauseFile reports whether the local file that stops everything exists. A
// file that can't be looked for counts as there: somebody may have put it.
func pauseFile(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// indexOf says where each member is. A cell is looked for many times a beat, and of
// thousands a search through all each time would be most of the beat's work.
func indexOf(members []fleet.Member) map[string]int {
	index := make(map[string]int, len(members))
	for i, m := range members {
		index[m.Name] = i
	}
	return index
}

// member returns the member of a name.
func (v *view) member(name string) (fleet.Member, bool) {
	i, known := v.index[name]
	if v.index == nil {
		i = slices.IndexFunc(v.members, func(m fleet.Member) bool { return m.Name == name })
		known = i >= 0
	}
	if !known {
		return fleet.Member{}, false
	}
	return v.members[i], true
}

// critical reports whether a cell is known to be unwell.
func (v *view) critical(name string) bool {
	m, registered := v.member(name)
	return registered && m.Health == fleet.Critical
}

// leaves reports whether a cell is marked to leave.
func (v *view) leaves(name string) bool {
	_, leaving := v.leaving[name]
	return leaving
}

// ready reports whether a cell takes work.
func (v *view) ready(name string) bool {
	m, ok := v.member(name)
	return ok && !v.leaves(name) && m.Health != fleet.Critical
}

// moved reports whether what a leaving cell holds is known to have been moved,
// and the cell is idle or past its time. One of which nothing tells what it has in
// hand, and that isn't asked to finish it, has nothing to take that time for.
func (v *view) moved(name string, s *policy.Service) bool {
	vitals, known := v.byCell[name]
	counted := s.Metrics.InFlight != "" || s.Proxy != nil || s.Drain.Path != ""
	idle := vitals.Idle() || !counted && vitals.SpoolTotal() == 0
	return known && vitals.Moved && vitals.Draining && (idle || v.at.After(v.leaving[name].Until))
}

// drained reports whether a leaving cell may go: it is known to be idle, it is
// past its time, or nothing of it is heard any more.
func (v *view) drained(name string) bool {
	mark := v.leaving[name]
	if v.at.After(mark.Until) {
		return true
	}
	vitals, known := v.byCell[name]
	return known && vitals.Draining && vitals.Idle()
}
