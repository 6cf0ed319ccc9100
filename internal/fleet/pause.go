package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Pause stops a service, or all, from being decided and done for.
type Pause struct {
	// All is true when it counts for every service; it is filled in on reading.
	All bool `json:"-"`
	// By is who paused it, Reason why. Since is filled in.
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

func (p *Pause) check() error {
	if p.Since.IsZero() {
		return errors.New("it does not say since when")
	}
	return nil
}

// Pause pauses a service; with an empty name it pauses all.
func (c *Client) Pause(ctx context.Context, service string, p Pause) error {
	key, err := c.pauseKey(service)
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	p.Since = c.cfg.Now().UTC()
	return c.put(ctx, key, p)
}

// Resume takes back the pause of a service, or with an empty name the one for
// all; pauses of single services then still stand.
func (c *Client) Resume(ctx context.Context, service string) error {
	key, err := c.pauseKey(service)
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return c.remove(ctx, key)
}

// Paused returns the pause that holds a service, the one for all before its
// own; nil when it isn't paused. An empty name asks only for the one for all.
func (c *Client) Paused(ctx context.Context, service string) (*Pause, error) {
	key, err := c.pauseKey(service)
	if err != nil {
		return nil, err
	}
	p, _, err := get[Pause](ctx, c, c.allKey(keyPause))
	if err != nil {
		return nil, err
	}
	if p != nil {
		p.All = true
		return p, nil
	}
	if service == "" {
		return nil, nil
	}
	p, _, err = get[Pause](ctx, c, key)
	return p, err
}

func (c *Client) pauseKey(service string) (string, error) {
	if service == "" {
		return c.allKey(keyPause), nil
	}
	return c.key(service, keyPause), checkName("service", service)
}
