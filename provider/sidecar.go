package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// drainPath is where a sidecar is told to drain its cell, and to stop that.
const drainPath = "/v1/drain"

// sidecarTimeout bounds one request to a sidecar.
const sidecarTimeout = 3 * time.Second

// sidecar is the API of a cell's sidecar.
type sidecar struct {
	base   string
	client *http.Client
}

func newSidecar(base string) *sidecar {
	return &sidecar{base: strings.TrimRight(base, "/"), client: &http.Client{
		Timeout: sidecarTimeout, Transport: &http.Transport{DisableKeepAlives: true},
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
	if !v.Draining {
		body, err := json.Marshal(map[string]string{"timeout": limit.String()})
		if err != nil {
			return fmt.Errorf("ask for a drain: %w", err)
		}
		if err := s.do(ctx, http.MethodPut, drainPath, body, nil); err != nil {
			return err
		}
		defer func() {
			if ctx.Err() != nil {
				s.takeBack(ctx)
			}
		}()
	}
	return s.untilIdle(ctx, limit)
}

func (s *sidecar) untilIdle(ctx context.Context, limit time.Duration) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		v, err := s.vitals(ctx)
		if err != nil {
			return err
		}
		if v.Draining && v.Idle() {
			return nil
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
	// If it doesn't arrive the drain ends by its own time limit.
	_ = s.do(ctx, http.MethodDelete, drainPath, nil, nil)
}

func (s *sidecar) vitals(ctx context.Context) (sense.Vitals, error) {
	var v sense.Vitals
	err := s.do(ctx, http.MethodGet, sense.VitalsPath, nil, &v)
	return v, err
}

func (s *sidecar) do(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
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
