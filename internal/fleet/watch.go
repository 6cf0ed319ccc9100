package fleet

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// WatchRecord calls fn with the record as it is now, nil where there is none,
// and again at each change, until ctx ends; it returns ctx's error. An answer
// that can't be had or read is logged, and fn isn't called for it.
func (c *Client) WatchRecord(ctx context.Context, service string, fn func(*Record)) error {
	return watchKey(ctx, c, c.key(service, keyRecord), fn)
}

// WatchLeaving calls fn with the mark of one cell, nil while it isn't to leave,
// as WatchRecord does.
func (c *Client) WatchLeaving(ctx context.Context, service, cell string, fn func(*Leaving)) error {
	return watchKey(ctx, c, c.key(service, keyLeaving, cell), fn)
}

// WatchMembers calls fn with the cells of a service, as WatchRecord does.
func (c *Client) WatchMembers(ctx context.Context, service string, fn func([]Member)) error {
	return c.watch(ctx, "the cells of "+service, func(ctx context.Context, index uint64) (uint64, error) {
		members, next, err := c.members(ctx, service, index)
		if err == nil {
			fn(members)
		}
		return next, err
	})
}

// watchKey watches one key, and leaves out wakes that changed nothing of it. It
// compares the text, since indexes begin anew when Consul's data is wiped.
func watchKey[T any](ctx context.Context, c *Client, key string, fn func(*T)) error {
	var seen *api.KVPair
	first := true
	return c.watch(ctx, key, func(ctx context.Context, index uint64) (uint64, error) {
		pair, next, err := c.pair(ctx, key, index)
		if err != nil {
			return 0, err
		}
		if !first && sameValue(pair, seen) {
			return next, nil
		}
		var v *T
		if pair != nil {
			v = new(T)
			if err := decode(key, pair.Value, v); err != nil {
				return 0, err
			}
		}
		first, seen = false, pair
		fn(v)
		return next, nil
	})
}

func sameValue(a, b *api.KVPair) bool {
	if a == nil || b == nil {
		return a == b
	}
	return bytes.Equal(a.Value, b.Value)
}

// watch repeats a blocking query until ctx ends, never more than once a second,
// and backs off while it fails.
func (c *Client) watch(ctx context.Context, what string, query func(context.Context, uint64) (uint64, error)) error {
	var index uint64
	pace := patience()
	for {
		began := time.Now()
		next, err := query(ctx, index)
		if ctx.Err() != nil {
			return fmt.Errorf("watch %s: %w", what, ctx.Err())
		}
		pause := time.Second - time.Since(began)
		if err != nil {
			index, pause = 0, c.failed(ctx, what, err, pace)
		} else {
			index = advance(index, next)
			pace.Reset()
		}
		if err := wait.For(ctx, pause); err != nil {
			return fmt.Errorf("watch %s: %w", what, err)
		}
	}
}

// failed logs what a watch met and says how long to let it be.
func (c *Client) failed(ctx context.Context, what string, err error, pace *backoff.ExponentialBackOff) time.Duration {
	pause := pace.NextBackOff()
	c.log.WarnContext(ctx, "cannot watch", "what", what, "err", err, "again_in", pause)
	return pause
}
