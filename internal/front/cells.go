package front

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// Catalog tells who the members of a service are, now and at each change, until
// the context ends. *fleet.Client is one.
type Catalog interface {
	WatchMembers(ctx context.Context, service string, fn func([]fleet.Member)) error
}

// CellsConfig says whose cells are chosen among.
type CellsConfig struct {
	Service string
	Rule    policy.Front
	Catalog Catalog
	// Sign makes of a transport one by which sidecars know a peer; nil where there
	// is no key.
	Sign func(http.RoundTripper) http.RoundTripper
	// Code makes of a text what stands for a cell in a cookie, the same at all fronts;
	// nil: a digest, by which who knows a cell's id can have itself sent there.
	Code func(text []byte) string
	// Scheme is that of the cells' public addresses; http if empty.
	Scheme string
	// Self is the id of the cell beside, which is never probed or chosen as a
	// sibling; empty for none.
	Self string
	Log  *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Cells are the members of one service and what is known of their load. They may
// be used by several goroutines, and know nothing until Run runs.
type Cells struct {
	cfg    CellsConfig
	prober *prober

	mu      sync.Mutex
	chooser *Chooser
	rng     *rand.Rand
	ranked  [2]ranking // up to listMost, and up to listLimit
	members map[string]fleet.Member
	// told is when Consul last said who the members are; zero until it has.
	told time.Time
	// emptied is since when Consul has listed none though it listed some before.
	emptied time.Time
	// fresh is closed once it has said so since the watching began.
	fresh chan struct{}
	// watched says that they are watched, or about to be; wake has that begin.
	watched bool
	wake    chan struct{}
	// wanted is until when someone wants to know the cells' load.
	wanted time.Time
	// tokens are what cookies call the members, and named the other way round.
	tokens, named map[string]string
}

// NewCells connects to nothing.
func NewCells(cfg CellsConfig) *Cells {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Cells{
		cfg: cfg, prober: newProber(cfg.Rule.ProbeTimeout, cfg.Sign),
		chooser: NewChooser(cfg.Rule), rng: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		members: map[string]fleet.Member{}, fresh: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// Run keeps members and load up to date until ctx ends. While Consul is away the
// last members stay.
func (c *Cells) Run(ctx context.Context) {
	c.mu.Lock()
	c.watched = true
	c.mu.Unlock()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { c.probe(ctx) })
	// It ends with the context alone; what it meets on the way it logs.
	_ = c.cfg.Catalog.WatchMembers(ctx, c.cfg.Service, c.setMembers)
}

// RunWhileWanted is Run, but only from when somebody asks until a while after the
// last one did: a thousand sidecars that all watched each other would be a load
// that Consul needn't bear.
func (c *Cells) RunWhileWanted(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		watching, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { c.Run(watching) })
		c.untilUnwanted(ctx)
		stop()
		wg.Wait()
	}
}

// lingering is how long members stay watched after the last who asked.
const lingering = time.Minute

func (c *Cells) untilUnwanted(ctx context.Context) {
	look := time.NewTicker(lingering / 12)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		c.mu.Lock()
		c.watched = c.cfg.Now().Before(c.wanted.Add(lingering - wantedFor))
		watched := c.watched
		c.mu.Unlock()
		if !watched {
			return
		}
	}
}

func (c *Cells) setMembers(all []fleet.Member) {
	tokens, named := map[string]string{}, map[string]string{}
	for _, m := range all {
		// Anew each time: the key may have changed.
		token := c.token(m.ID())
		tokens[m.ID()], named[token] = token, m.ID()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	if c.doubts(all, now) {
		return
	}
	members := make([]Member, 0, len(all))
	c.members = make(map[string]fleet.Member, len(all))
	for _, m := range all {
		if m.Port == 0 {
			continue // It takes no requests.
		}
		c.members[m.ID()] = m
		members = append(members, Member{ID: m.ID(), Health: m.Health, Silent: m.Silent, Born: m.BornAt})
	}
	c.chooser.SetMembers(now, members)
	c.ranked = [2]ranking{}
	c.tokens, c.named = tokens, named
	c.told = now
	select {
	case <-c.fresh:
	default:
		close(c.fresh)
	}
}

// believed is after how long it is believed that a service has no cell any more.
const believed = time.Minute

// doubts reports whether the last list is kept though Consul lists no cell. What was
// registered with a server goes with it when the others remove that from their midst,
// and comes back with the cells' next push: a list that is empty all at once says more
// of Consul than of the cells. Where they are gone, those who are sent there learn it.
func (c *Cells) doubts(all []fleet.Member, now time.Time) bool {
	if len(all) > 0 || len(c.members) == 0 {
		c.emptied = time.Time{}
		return false
	}
	if c.emptied.IsZero() {
		c.emptied = now
		c.cfg.Log.Warn("Consul lists no cell any more; going by its last list for now", "service", c.cfg.Service, "cells", len(c.members), "for", believed)
	}
	return now.Sub(c.emptied) < believed
}

// token names a cell in a cookie without saying which it is.
func (c *Cells) token(id string) string {
	text := []byte("homeostat front 1\n" + id)
	if c.cfg.Code != nil {
		return c.cfg.Code(text)[:32]
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// with does something with the chooser, alone.
func (c *Cells) with(f func(now time.Time, chooser *Chooser)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.cfg.Now(), c.chooser)
}

// want has the cells watched, where they aren't, and probed for a while.
func (c *Cells) want(now time.Time) {
	c.wanted = now.Add(wantedFor)
	if c.watched {
		return
	}
	c.watched, c.fresh = true, make(chan struct{})
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// wantedFor is how long cells go on being probed after the last who asked.
const wantedFor = 10 * time.Second

// stale is from which age on a list is called old: a blocking query answers at
// least every quarter of a minute.
const stale = 30 * time.Second

// age is how old the list of members is; false while there was none.
func (c *Cells) age() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cfg.Now().Sub(c.told), !c.told.IsZero()
}

// size counts the members, and those that are healthy.
func (c *Cells) size() (members, healthy int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m.Health != fleet.Critical {
			healthy++
		}
	}
	return len(c.members), healthy
}

// learn takes a report.
func (c *Cells) learn(id string, r load.Report) {
	c.with(func(now time.Time, chooser *Chooser) { chooser.Learn(now, id, r) })
}

// WithRoom is the public base URL of a cell that has room, by a fresh report, for
// clients or for crawlers; never that of the cell beside, nor of one that is
// warning. Being asked is what has a few cells probed, so the first times it may
// be false though there is one.
func (c *Cells) WithRoom(crawlers bool) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	c.want(now)
	id, ok := c.chooser.WithRoom(now, c.rng, crawlers, c.cfg.Self)
	if !ok {
		return "", false
	}
	c.chooser.Handed(id)
	return c.baseURL(c.members[id]), true
}

// hostPort is where a cell's application is reached.
func hostPort(m fleet.Member) string { return net.JoinHostPort(m.Address, strconv.Itoa(m.Port)) }

func (c *Cells) scheme() string { return cmp.Or(c.cfg.Scheme, "http") }

// baseURL is a cell's public address.
func (c *Cells) baseURL(m fleet.Member) string {
	return c.scheme() + "://" + hostPort(m)
}
