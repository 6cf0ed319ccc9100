package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

const (
	// probesAtOnce bounds how many probes are under way.
	probesAtOnce = 16
	// probeBytes is more than a report takes.
	probeBytes = 512
)

// prober asks sidecars for the load of their cells.
type prober struct {
	client  *http.Client
	timeout time.Duration
}

func newProber(timeout time.Duration, sign func(http.RoundTripper) http.RoundTripper) *prober {
	var transport http.RoundTripper = &http.Transport{
		MaxIdleConns: 4 * probesAtOnce, MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
	}
	if sign != nil {
		transport = sign(transport)
	}
	return &prober{timeout: timeout, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ask returns a cell's report.
func (p *prober) ask(ctx context.Context, sidecar string) (load.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(sidecar, "/")+load.Path, nil)
	if err != nil {
		return load.Report{}, fmt.Errorf("make a probe: %w", err)
	}
	answer, err := p.client.Do(r)
	if err != nil {
		return load.Report{}, err
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, probeBytes))
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return load.Report{}, fmt.Errorf("read the load: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return load.Report{}, fmt.Errorf("GET %s: %s", load.Path, answer.Status)
	}
	return load.Parse(string(text))
}

// probe asks one cell after another while somebody wants to know, at most
// probesAtOnce at a time.
func (c *Cells) probe(ctx context.Context) {
	defer c.prober.client.CloseIdleConnections()
	if c.cfg.Rule.Probes <= 0 {
		return
	}
	pace := time.NewTicker(time.Duration(float64(time.Second) / c.cfg.Rule.Probes))
	defer pace.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, probesAtOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		id, sidecar := c.nextProbe()
		if id == "" {
			continue
		}
		select {
		case free <- struct{}{}:
		default:
			continue // Too many hang already.
		}
		wg.Go(func() {
			defer func() { <-free }()
			report, err := c.prober.ask(ctx, sidecar)
			if err == nil {
				c.learn(id, report)
			} else if ctx.Err() == nil {
				c.cfg.Log.DebugContext(ctx, "cell not heard", "cell", id, "error", err)
			}
		})
	}
}

// nextProbe is whom to ask, and where; empty while nobody wants to know.
func (c *Cells) nextProbe() (id, sidecar string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	if now.After(c.wanted) {
		return "", ""
	}
	id = c.chooser.NextProbe(now, c.rng)
	sidecar = c.members[id].Vitals
	if id == c.cfg.Self || sidecar == "" {
		return "", ""
	}
	return id, sidecar
}
