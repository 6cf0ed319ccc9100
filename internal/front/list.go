package front

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// ListPattern is where Lists is served beside an application, as a pattern of
// http.ServeMux.
const ListPattern = "GET /v1/services/{service}"

// listMost is how many cells a list has unless ?limit= says otherwise, and
// listLimit how many it may have.
const (
	listMost  = 20
	listLimit = 200
)

// firstWait is how long the first who asks for a service waits for Consul.
const firstWait = 2 * time.Second

// Lists answers with the cells of services, best first. A service is watched from
// the first time that somebody asks for it.
type Lists struct {
	// cellsOf makes what knows a service; nil for one that the policy doesn't have.
	cellsOf func(service string) *Cells

	mu    sync.Mutex
	known map[string]*Cells
	run   context.Context // what is watched on demand ends with it
	wg    sync.WaitGroup
}

// NewLists makes lists of services by what cellsOf makes; that is nil for a
// service that there isn't. What it makes is run until ctx ends, while it is
// wanted; then Wait waits for its end.
func NewLists(ctx context.Context, cellsOf func(service string) *Cells) *Lists {
	return &Lists{cellsOf: cellsOf, known: map[string]*Cells{}, run: ctx}
}

// Add takes the cells of a service that somebody else runs.
func (l *Lists) Add(service string, cells *Cells) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[service] = cells
}

// Wait waits until nothing is watched any more, after the context's end.
func (l *Lists) Wait() { l.wg.Wait() }

func (l *Lists) cells(service string) *Cells {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.known[service]; c != nil {
		return c
	}
	c := l.cellsOf(service)
	if c != nil && l.run.Err() == nil {
		l.known[service] = c
		l.wg.Go(func() { c.RunWhileWanted(l.run) })
	}
	return c
}

// ServeHTTP implements http.Handler, for ListPattern.
func (l *Lists) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.serve(w, r, r.PathValue("service"))
}

// List is what is answered: the cells of a service, best first.
type List struct {
	Service string `json:"service"`
	// AgeSeconds is how long ago Consul told who the cells are; Stale that this is
	// longer than it should be, since Consul is away.
	AgeSeconds float64    `json:"age_seconds"`
	Stale      bool       `json:"stale"`
	Cells      []ListCell `json:"cells"`
}

// ListCell is one cell of a List.
type ListCell struct {
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// URL is the cell's public address.
	URL    string       `json:"url"`
	Health fleet.Health `json:"health"`
	// Room is the share of what the cell takes that is free, 0 to 1, Hot says that
	// it is over its bound, and AgeSeconds how old that is; absent where the cell
	// doesn't tell.
	Room       *float64 `json:"room,omitempty"`
	Hot        bool     `json:"hot,omitempty"`
	AgeSeconds *float64 `json:"age_seconds,omitempty"`
}

// list tells the cells of the front's own service, and of no other: where the databases
// are is nothing for whoever reaches the front. Applications ask beside themselves.
func (f *Front) list(w http.ResponseWriter, r *http.Request, service string) {
	if service != f.cfg.Service {
		problem(w, http.StatusNotFound, fmt.Sprintf("this front lists the cells of %q alone", f.cfg.Service))
		return
	}
	f.cfg.Lists.serve(w, r, service)
}

// serve answers 200 with a list, which is empty for a service that has no cell;
// 404 for a service that the policy doesn't have; 503 while Consul has never told.
func (l *Lists) serve(w http.ResponseWriter, r *http.Request, service string) {
	c := l.cells(service)
	if c == nil {
		problem(w, http.StatusNotFound, fmt.Sprintf("the policy has no service %q", service))
		return
	}
	most, err := limitOf(r)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if !c.await(r.Context(), firstWait) && !c.everTold() {
		w.Header().Set("Retry-After", "1")
		problem(w, http.StatusServiceUnavailable, fmt.Sprintf("Consul has not yet told which cells service %q has", service))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d", int(c.cfg.Rule.ListAge.Seconds())))
	_ = json.NewEncoder(w).Encode(c.list(most)) // who asks may have gone away
}

func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return listMost, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > listLimit {
		return 0, fmt.Errorf("limit=%s: give a number from 1 to %d", text, listLimit)
	}
	return n, nil
}

// problem says as JSON what is wrong.
func problem(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // who asks may have gone away
}

// await waits until Consul has told of the members, for so long at most.
func (c *Cells) await(ctx context.Context, limit time.Duration) bool {
	c.mu.Lock()
	c.want(c.cfg.Now())
	fresh := c.fresh
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-fresh:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *Cells) everTold() bool {
	_, told := c.age()
	return told
}

// rankedFor is how long a ranking is answered with: many lists cost no more than a few.
const rankedFor = 100 * time.Millisecond

// ranking is a list as it was ranked last.
type ranking struct {
	at  time.Time
	all []Standing
}

// rank returns up to most cells, best first. It is for who holds mu.
func (c *Cells) rank(now time.Time, most int) []Standing {
	short, length := 0, listMost
	if most > listMost {
		short, length = 1, listLimit
	}
	r := &c.ranked[short]
	if since := now.Sub(r.at); r.all == nil || since < 0 || since >= rankedFor {
		r.at, r.all = now, c.chooser.Rank(now, c.rng, length)
	}
	c.turn(r.all)
	return r.all[:min(most, len(r.all))]
}

// turn has a list begin with any of those that are about as good as its first, so that
// not all who ask at once go to one cell. It is for who holds mu.
func (c *Cells) turn(all []Standing) {
	alike := 0
	for alike < len(all) && all[alike].alike {
		alike++
	}
	if alike > 1 {
		i := c.rng.IntN(alike)
		all[0], all[i] = all[i], all[0]
	}
}

// list tells the cells, best first.
func (c *Cells) list(most int) List {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	l := List{Service: c.cfg.Service, AgeSeconds: seconds(now.Sub(c.told)), Stale: now.Sub(c.told) > stale, Cells: []ListCell{}}
	for _, s := range c.rank(now, most) {
		m := c.members[s.ID]
		one := ListCell{Cell: m.Name, Incarnation: m.Incarnation, URL: c.baseURL(m), Health: m.Health, Room: s.Room, Hot: s.Hot}
		if s.Room != nil {
			age := seconds(s.Age)
			one.AgeSeconds = &age
		}
		l.Cells = append(l.Cells, one)
	}
	return l
}

// seconds are rounded to milliseconds.
func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// listed is the service that a request at the front asks the list of.
func (f *Front) listed(r *http.Request) (service string, asked bool) {
	if f.cfg.Rule.ListPath == "" || f.cfg.Lists == nil || r.Method != http.MethodGet {
		return "", false
	}
	service, asked = strings.CutPrefix(r.URL.Path, f.cfg.Rule.ListPath+"/")
	return service, asked && service != "" && !strings.Contains(service, "/")
}
