package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Where a sidecar serves its vitals, and where it is told to drain its cell and
// to stop that.
const (
	vitalsPath = "/v1/vitals"
	drainPath  = "/v1/drain"
)

// vitals is the part of a sidecar's vitals by which a drain is followed. The
// package that has all of them would bring the sidecar's whole machinery into
// the provider.
type vitals struct {
	Cell        string          `json:"cell"`
	Incarnation string          `json:"incarnation"`
	Draining    bool            `json:"draining"`
	Age         time.Duration   `json:"age_ns"`
	InFlight    reading.Reading `json:"in_flight"`
	SpoolDepth  reading.Reading `json:"spool_depth"`
}

// idle is false as long as it isn't known that the cell has nothing in hand.
func (v vitals) idle() bool {
	return v.InFlight.Known && v.InFlight.Value == 0 && (!v.SpoolDepth.Known || v.SpoolDepth.Value == 0)
}

// sidecarTimeout bounds one request to a sidecar.
const sidecarTimeout = 3 * time.Second

// sidecar is the API of a cell's sidecar. The cell is named in each order: its
// port may have been given to another cell since.
type sidecar struct {
	base, cell string
	client     *http.Client
}

// newSidecar takes the sidecar's base URL and the cell's id, "name.incarnation".
// Without keys its answers are taken as they come.
func newSidecar(base, cell string, keys *peer.Keys) *sidecar {
	return &sidecar{base: strings.TrimRight(base, "/"), cell: cell, client: &http.Client{
		Timeout: sidecarTimeout, Transport: keys.Transport(&http.Transport{DisableKeepAlives: true}),
		// A redirect leads away from the cell that was asked.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// drain tells the sidecar to drain and waits until the cell is idle or the
// limit is over. A cell that drains already, because its leader has marked it,
// is only waited for. When the context ends the order is taken back, unless it
// was the leader's.
func (s *sidecar) drain(ctx context.Context, limit time.Duration) error {
	v, err := s.vitals(ctx)
	if err != nil {
		return err
	}
	if v.Draining {
		return s.untilIdle(ctx, limit, time.Time{})
	}
	began := time.Now()
	if err := s.do(ctx, http.MethodPut, s.drainPath(), nil); err != nil {
		return err
	}
	defer func() {
		if ctx.Err() != nil {
			s.takeBack(ctx)
		}
	}()
	return s.untilIdle(ctx, limit, began)
}

// untilIdle goes by what was measured since the drain began: before that the
// cell was idle only for the moment.
func (s *sidecar) untilIdle(ctx context.Context, limit time.Duration, began time.Time) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		v, err := s.vitals(ctx)
		if err != nil {
			return err
		}
		if v.Draining && v.Age < time.Since(began) {
			if v.idle() {
				return nil
			}
			// The sidecar still drains by the policy when it is ended.
			if !v.InFlight.Known {
				return fmt.Errorf("what it has in hand isn't known: %s", v.InFlight.Reason)
			}
		}
		select {
		case <-time.After(pause):
		case <-over.C:
			return fmt.Errorf("it was not idle within %v", limit)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// takeBack must be quick: whoever interrupted waits for it.
func (s *sidecar) takeBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	// If it doesn't arrive the cell drains on, and the next run removes it.
	_ = s.do(ctx, http.MethodDelete, s.drainPath(), nil)
}

func (s *sidecar) drainPath() string { return drainPath + "?cell=" + url.QueryEscape(s.cell) }

func (s *sidecar) vitals(ctx context.Context) (vitals, error) {
	var v vitals
	if err := s.do(ctx, http.MethodGet, vitalsPath, &v); err != nil {
		return v, err
	}
	if id := v.Cell + "." + v.Incarnation; id != s.cell {
		return v, fmt.Errorf("the sidecar at %s is that of %s, not of %s", s.base, id, s.cell)
	}
	return v, nil
}

func (s *sidecar) do(ctx context.Context, method, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, nil)
	if err != nil {
		return fmt.Errorf("ask the sidecar: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the sidecar: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the sidecar's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s%s: %s: %s", method, s.base, path, resp.Status, strings.TrimSpace(string(b)))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("parse the sidecar's answer to %s %s: %w", method, path, err)
	}
	return nil
}
