package replyto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Cells knows the cells of services by asking a sidecar or a front for its list. It is
// safe for concurrent use.
type Cells struct {
	base   string
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	known map[string]*list
}

// list is what is known of one service.
type list struct {
	asking  chan struct{} // has room for who asks
	cells   []cell
	told    time.Time // when cells were told; zero: never
	expires time.Time
	failed  error // why there are no cells that are good enough
}

// cell is one of a list.
type cell struct {
	URL    string `json:"url"`
	Health string `json:"health"`
}

const (
	// askLimit is how long the list may take to come.
	askLimit = 3 * time.Second
	// listBytes is more than any list has.
	listBytes = 1 << 20
	// shortest and longest is how long a list is kept, whatever its max-age says.
	shortest, longest = 200 * time.Millisecond, time.Minute
	// oldest is for how long the last list is used while no newer one can be had.
	oldest = 15 * time.Minute
)

// NewCells returns the cells that a sidecar or a front knows, whose base URL it is
// given, such as "http://127.0.0.1:4001"; empty for the sidecar beside this program,
// $HOMEOSTAT_SIDECAR.
func NewCells(base string) (*Cells, error) {
	if base == "" {
		base = os.Getenv("HOMEOSTAT_SIDECAR")
	}
	if origin(base) == "" {
		return nil, fmt.Errorf("%q is no base URL of a sidecar or a front: is HOMEOSTAT_SIDECAR set?", base)
	}
	return &Cells{
		base: strings.TrimSuffix(base, "/"), client: &http.Client{Timeout: askLimit}, now: time.Now, known: map[string]*list{},
	}, nil
}

// of returns the cells of a service that aren't critical, best first. While no newer
// list can be had the last one is good for a quarter of an hour.
func (c *Cells) of(ctx context.Context, service string) ([]cell, error) {
	c.mu.Lock()
	l := c.known[service]
	if l == nil {
		l = &list{asking: make(chan struct{}, 1)}
		c.known[service] = l
	}
	cells, err, fresh := l.cells, l.failed, c.now().Before(l.expires)
	c.mu.Unlock()
	if fresh {
		return cells, err
	}
	select {
	case l.asking <- struct{}{}:
		defer func() { <-l.asking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("ask for the cells of %s: %w", service, ctx.Err())
	}
	c.mu.Lock()
	cells, err, fresh = l.cells, l.failed, c.now().Before(l.expires)
	told := l.told
	c.mu.Unlock()
	if fresh { // somebody has asked meanwhile
		return cells, err
	}
	got, keep, err := c.ask(ctx, service)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		l.cells, l.failed, l.told, l.expires = got, nil, c.now(), c.now().Add(keep)
		return got, nil
	}
	err = fmt.Errorf("ask for the cells of %s: %w", service, err)
	if ctx.Err() != nil { // that it failed says nothing to others
		return nil, err
	}
	if told.IsZero() || c.now().Sub(told) > oldest {
		l.cells, l.failed = nil, err
	}
	l.expires = c.now().Add(shortest) // so that not every result waits for who is away
	return l.cells, l.failed
}

// doubt has the list asked for anew: one of its cells didn't answer.
func (c *Cells) doubt(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.known[service]; l != nil && l.expires.After(l.told.Add(shortest)) {
		l.expires = l.told.Add(shortest)
	}
}

func (c *Cells) ask(ctx context.Context, service string) (cells []cell, keep time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/services/"+service, nil)
	if err != nil {
		return nil, 0, err
	}
	answer, err := c.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer discard(answer)
	body, err := io.ReadAll(io.LimitReader(answer.Body, listBytes))
	if err != nil {
		return nil, 0, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s answered %s: %.200s", c.base, answer.Status, body)
	}
	var told struct {
		Service string `json:"service"`
		Cells   []cell `json:"cells"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return nil, 0, fmt.Errorf("%s answered what is no list: %w", c.base, err)
	}
	if told.Service != service {
		return nil, 0, errors.New(c.base + " answered with the cells of another service, " + strconv.Quote(told.Service))
	}
	return healthy(told.Cells), maxAge(answer.Header.Get("Cache-Control")), nil
}

// healthy leaves out who is critical, and who has no address.
func healthy(all []cell) []cell {
	var cells []cell
	for _, one := range all {
		if one.URL = origin(one.URL); one.URL != "" && (one.Health == "passing" || one.Health == "warning") {
			cells = append(cells, one)
		}
	}
	return cells
}

// maxAge is how long an answer may be kept.
func maxAge(control string) time.Duration {
	for part := range strings.SplitSeq(control, ",") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(part), "max-age="); ok {
			if seconds, err := strconv.Atoi(text); err == nil {
				return max(shortest, min(time.Duration(seconds)*time.Second, longest))
			}
		}
	}
	return shortest
}
