package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
)

// ValueLimit is the most a value may hold, in bytes. Consul takes 512 KiB a
// value, but also 512 KiB a transaction, in which values travel as base64.
const ValueLimit = 384_000

// checked is a value that can tell itself from other JSON.
type checked interface{ check() error }

// encode is the text of a value, refused where Consul would refuse it.
func encode(key string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", key, err)
	}
	if len(text) > ValueLimit {
		return nil, fmt.Errorf("write %s: %d bytes, at most %d fit: %w", key, len(text), ValueLimit, ErrTooLarge)
	}
	return text, nil
}

// decode reads a value into v, or says that the key holds something else.
func decode(key string, text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return &CorruptError{Key: key, Err: err}
	}
	if value, ok := v.(checked); ok {
		err := value.check()
		if errors.Is(err, ErrNewerFormat) {
			return fmt.Errorf("%s: %w", key, err)
		}
		if err != nil {
			return &CorruptError{Key: key, Err: err}
		}
	}
	return nil
}

// pair reads one key, consistently; nil where there is none. With an index
// above zero it waits for a change from that index.
func (c *Client) pair(ctx context.Context, key string, index uint64) (*api.KVPair, uint64, error) {
	if err := checkKey(key); err != nil {
		return nil, 0, err
	}
	var pair *api.KVPair
	var meta *api.QueryMeta
	err := c.call(ctx, &c.anywhere, "read "+key, c.limit(index), func(ctx context.Context, consul *api.Client) (err error) {
		pair, meta, err = consul.KV().Get(key, waiting(query(ctx), index))
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return pair, meta.LastIndex, nil
}

// get reads the value of one key and its modify index; nil where there is none.
func get[T any](ctx context.Context, c *Client, key string) (*T, uint64, error) {
	pair, _, err := c.pair(ctx, key, 0)
	if err != nil || pair == nil {
		return nil, 0, err
	}
	v := new(T)
	if err := decode(key, pair.Value, v); err != nil {
		return nil, 0, err
	}
	return v, pair.ModifyIndex, nil
}

// list reads all values in a folder.
func list[T any](ctx context.Context, c *Client, folder string) ([]T, error) {
	if err := checkKey(folder); err != nil {
		return nil, err
	}
	pairs, err := c.pairs(ctx, folder)
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(pairs))
	for _, p := range pairs {
		var v T
		if err := decode(p.Key, p.Value, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// pairs reads all keys in a folder.
func (c *Client) pairs(ctx context.Context, folder string) (pairs api.KVPairs, err error) {
	err = c.call(ctx, &c.anywhere, "list "+folder, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		pairs, _, err = consul.KV().List(folder+"/", query(ctx))
		return err
	})
	return pairs, err
}

// put writes a key that needs no lock.
func (c *Client) put(ctx context.Context, key string, v any) error {
	text, err := encode(key, v)
	if err != nil {
		return err
	}
	return c.call(ctx, &c.anywhere, "write "+key, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) error {
		_, err := consul.KV().Put(&api.KVPair{Key: key, Value: text}, write(ctx))
		return err
	})
}

// remove deletes a key that needs no lock; an absent one is no error.
func (c *Client) remove(ctx context.Context, key string) error {
	return c.call(ctx, &c.anywhere, "delete "+key, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) error {
		_, err := consul.KV().Delete(key, write(ctx))
		return err
	})
}

// waiting makes a blocking query of one with an index.
func waiting(q *api.QueryOptions, index uint64) *api.QueryOptions {
	if index > 0 {
		q.WaitIndex, q.WaitTime = index, watchTime
	}
	return q
}

// limit is how long one request may take. Consul adds up to a sixteenth to the
// time of a blocking query.
func (c *Client) limit(index uint64) time.Duration {
	if index > 0 {
		return watchTime + watchTime/16 + c.cfg.Timeout
	}
	return c.cfg.Timeout
}

// brief bounds a request that is only a courtesy.
func (c *Client) brief() time.Duration { return min(c.cfg.Timeout, 2*time.Second) }
