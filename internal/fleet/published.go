package fleet

import (
	"context"
	"time"
)

// Published is what a person has published for a service last.
type Published struct {
	Bundle string    `json:"bundle"`
	Genome string    `json:"genome"`
	Store  string    `json:"store"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
}

// Published returns what was published for a service; nil where nothing was.
func (c *Client) Published(ctx context.Context, service string) (*Published, error) {
	p, _, err := get[Published](ctx, c, c.key(service, "published"))
	return p, err
}

// Publish writes down what was published.
func (c *Client) Publish(ctx context.Context, service string, p Published) error {
	return c.put(ctx, c.key(service, "published"), p)
}
