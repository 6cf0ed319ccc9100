package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
)

// Published is what a person has published for a service last. The leader takes
// it into the record.
type Published struct {
	// Bundle is the digest of policy, root module and genome, Genome that of the
	// genome alone.
	Bundle string `json:"bundle"`
	Genome string `json:"genome"`
	// Store is where the bundle is, so that it can be opened anywhere.
	Store string `json:"store,omitempty"`
	// Program is the digest of the file of the genome that a machine runs as its
	// sidecar; empty where it has none.
	Program string `json:"program,omitempty"`
	// Before is the bundle that was published before this one: the way back. One
	// whose cells didn't come to live is none; then it is the one before that.
	Before string `json:"before,omitempty"`
	// At is when, By who published it; At is filled in.
	At time.Time `json:"at"`
	By string    `json:"by,omitempty"`
}

func (p *Published) check() error {
	if p.Bundle == "" || p.Genome == "" || p.At.IsZero() {
		return errors.New("it does not name a bundle, a genome and when")
	}
	return nil
}

// Publish writes down what is published for a service, and what was before. It
// returns ErrConflict when somebody else published at the same time.
func (c *Client) Publish(ctx context.Context, service string, p Published) (Published, error) {
	what := "publish for " + service
	if err := checkName("service", service); err != nil {
		return p, fmt.Errorf("%s: %w", what, err)
	}
	key := c.key(service, keyPublished)
	was, index, err := get[Published](ctx, c, key)
	if err != nil {
		return p, fmt.Errorf("%s: %w", what, err)
	}
	record, _, err := c.Record(ctx, service)
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return p, fmt.Errorf("%s: %w", what, err)
	}
	p.At, p.Before = c.cfg.Now().UTC(), wayBack(was, record, p.Bundle)
	if err := p.check(); err != nil {
		return p, fmt.Errorf("%s: %w", what, err)
	}
	text, err := encode(key, p)
	if err != nil {
		return p, err
	}
	done := false
	err = c.call(ctx, &c.anywhere, what, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		done, _, err = consul.KV().CAS(&api.KVPair{Key: key, Value: text, ModifyIndex: index}, write(ctx))
		return err
	})
	if err == nil && !done {
		err = fmt.Errorf("%s: somebody else published at the same time: %w", what, ErrConflict)
	}
	return p, err
}

// wayBack is the bundle to go back to from one that is published now.
func wayBack(was *Published, record *Record, bundle string) string {
	if was == nil {
		return ""
	}
	failed := record != nil && record.Halt != nil && record.Halt.Genome == was.Genome
	back := was.Bundle
	if failed || back == bundle {
		back = was.Before
	}
	if back == bundle {
		return "" // it is the way back itself
	}
	return back
}

// Published returns what is published for a service, nil where nothing is.
func (c *Client) Published(ctx context.Context, service string) (*Published, error) {
	p, _, err := get[Published](ctx, c, c.key(service, keyPublished))
	return p, err
}
