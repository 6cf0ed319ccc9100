// Package pairing gives a newborn cell its partner: one cell of a service that
// it needs, such as its database, for as long as it lives. It is chosen once,
// before the application starts, kept in Consul, and told to the application.
//
// A partner holds data, so a cell doesn't change it when it is slow or away:
// that is told, and left to the application. Only a partner that was removed on
// purpose, and one of an earlier life, is replaced, when the cell's sidecar
// begins anew.
//
// The package leaves out how much room a partner has, which its own sidecar
// measures, and asking for more partners, which is the leader's.
package pairing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// Config says who is paired with whom.
type Config struct {
	// Cell is who gets a partner, With the service that one is taken from.
	Cell  fleet.Cell
	With  string
	Fleet *fleet.Client
	// Vitals asks sidecars.
	Vitals func(context.Context, []sense.Sibling) []sense.Result
	// Limit is how long to go on looking for a partner.
	Limit time.Duration
	Log   *slog.Logger
	Now   func() time.Time
}

// Partner is the partner of one cell. Its methods may be called from several
// goroutines.
type Partner struct {
	Config

	mu     sync.Mutex
	pair   *fleet.Pair
	member *fleet.Member // as last seen; nil while it isn't registered
	seen   bool
	told   map[string]bool // cells whose pairs can't be read, of which was told
}

// New returns a cell's partner that hasn't been chosen yet.
func New(cfg Config) *Partner { return &Partner{Config: cfg} }

// retry is the pause between two looks for a partner.
const retry = time.Second

// Find finds the partner that the cell has, or chooses one. While there is none
// to be had, or Consul is away, it goes on looking until Limit or ctx ends it.
func (p *Partner) Find(ctx context.Context) (fleet.Pair, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Limit)
	defer cancel()
	var why error // of the last try that came to its end
	for tries := 0; ; tries++ {
		pair, err := p.Fleet.PairUp(ctx, p.With, p.Cell, p.stands(ctx), p.choose)
		if err == nil {
			pair.Address = p.present(ctx, pair)
			p.mu.Lock()
			p.pair = &pair
			p.mu.Unlock()
			p.Log.Info("paired", "cell", p.Cell.Name, "with", pair.Partner, "at", pair.Address)
			return pair, nil
		}
		if why == nil || ctx.Err() == nil {
			why = err
		}
		if tries == 0 {
			p.Log.Warn("no partner yet: the application waits", "of", p.With, "for", p.Limit, "error", err)
		}
		select {
		case <-ctx.Done():
			return fleet.Pair{}, fmt.Errorf("find a partner of service %s within %s: %w", p.With, p.Limit, why)
		case <-time.After(retry):
		}
	}
}

// present is where the partner is now: one that was started again may listen
// elsewhere than where it was found first. Where that can't be seen it is as then.
func (p *Partner) present(ctx context.Context, pair fleet.Pair) string {
	members, err := p.Fleet.Members(ctx, p.With)
	if err != nil {
		return pair.Address
	}
	for _, m := range members {
		if m.Name == pair.Partner && m.Port != 0 {
			return addressOf(m)
		}
	}
	return pair.Address
}

// stands says of a pair whether it is kept: unless its partner was removed on
// purpose, which its service's record tells by no longer naming it. What can't be
// read changes nothing.
func (p *Partner) stands(ctx context.Context) func(fleet.Pair) bool {
	return func(pair fleet.Pair) bool {
		record, _, err := p.Fleet.Record(ctx, p.With)
		return err != nil || record.Names == nil || slices.Contains(record.Names, pair.Partner)
	}
}

// choose looks at all candidates and picks one.
func (p *Partner) choose(ctx context.Context, pairs []fleet.Pair) (fleet.Pair, error) {
	all, err := p.candidates(ctx, pairs)
	if err != nil {
		return fleet.Pair{}, err
	}
	best, err := Choose(all)
	if err != nil {
		return fleet.Pair{}, fmt.Errorf("service %s: %w", p.With, err)
	}
	if best.class() == 0 {
		p.Log.Warn("no partner has room; the one with the fewest pairs is taken", "partner", best.Name, "pairs", best.Pairs)
	}
	return fleet.Pair{Partner: best.Name, Address: best.Address}, nil
}

func (p *Partner) candidates(ctx context.Context, pairs []fleet.Pair) ([]Candidate, error) {
	members, err := p.Fleet.Members(ctx, p.With)
	if err != nil {
		return nil, err
	}
	marks, err := p.Fleet.Leaving(ctx, p.With)
	if err != nil {
		return nil, err
	}
	members = slices.DeleteFunc(members, func(m fleet.Member) bool {
		leaves := slices.ContainsFunc(marks, func(l fleet.Leaving) bool { return l.Cell == m.Name })
		return leaves || m.Health == fleet.Critical || m.Port == 0
	})
	p.tellUnread(pairs)
	rooms := p.rooms(ctx, members)
	var all []Candidate
	for _, m := range members {
		c := Candidate{Name: m.Name, Address: addressOf(m), Room: rooms[m.Name], Spared: m.Health == fleet.Warning}
		for _, pair := range pairs {
			// With whom one is that can't be read isn't known, nor since when: it may
			// be with any of them, and since just now.
			if pair.Partner != m.Name && pair.Unread == nil {
				continue
			}
			c.Pairs++
			if pair.Unread != nil || p.Now().Sub(pair.At) < Settling {
				c.Young++
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// tellUnread tells once of each pair that can't be read.
func (p *Partner) tellUnread(pairs []fleet.Pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pair := range pairs {
		who := pair.Service + "/" + pair.Cell
		if pair.Unread == nil || p.told[who] {
			continue
		}
		if p.told == nil {
			p.told = map[string]bool{}
		}
		p.told[who] = true
		p.Log.Error("the partner of another cell can't be read; it is counted with each candidate, and goes with its cell", "of", who, "error", pair.Unread)
	}
}

// rooms asks the candidates' sidecars.
func (p *Partner) rooms(ctx context.Context, members []fleet.Member) map[string]reading.Reading {
	rooms := make(map[string]reading.Reading, len(members))
	var siblings []sense.Sibling
	for _, m := range members {
		rooms[m.Name] = reading.Unknown("it has no sidecar")
		if m.Vitals != "" {
			siblings = append(siblings, sense.Sibling{Service: m.Service, Cell: m.Name, Incarnation: m.Incarnation, URL: m.Vitals})
		}
	}
	for _, r := range p.Vitals(ctx, siblings) {
		switch {
		case r.Err != nil:
			rooms[r.Cell] = reading.Unknown("%v", r.Err)
		case r.Vitals.Database == nil:
			rooms[r.Cell] = reading.Unknown("it doesn't measure its room")
		default:
			rooms[r.Cell] = r.Vitals.Database.Room
		}
	}
	return rooms
}

// Watch follows how the partner fares, until ctx ends.
func (p *Partner) Watch(ctx context.Context) error {
	return p.Fleet.WatchMembers(ctx, p.With, p.see)
}

// see takes one look at who is there.
func (p *Partner) see(members []fleet.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pair == nil {
		return
	}
	was, first := p.health(), !p.seen
	p.member, p.seen = nil, true
	for _, m := range members {
		if m.Name == p.pair.Partner {
			p.member = &m
		}
	}
	switch now := p.health(); {
	case now == was && !first:
	case now == string(fleet.Passing):
		p.Log.Info("the partner is well", "partner", p.pair.Partner)
	default:
		p.Log.Warn("the partner isn't well; it stays the partner, since it holds the data", "partner", p.pair.Partner, "health", now)
	}
}

// health is the partner's as Consul has it, "gone" where it isn't registered, and
// "unknown" before the first look. The caller holds the lock.
func (p *Partner) health() string {
	switch {
	case !p.seen:
		return "unknown"
	case p.member == nil:
		return "gone"
	default:
		return string(p.member.Health)
	}
}

func addressOf(m fleet.Member) string { return net.JoinHostPort(m.Address, strconv.Itoa(m.Port)) }

// errUnpaired is what an application is told that asks too early.
var errUnpaired = errors.New("no partner has been chosen yet")
