package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/consul/api"
)

// JoinMail is one text that a machine at its first boot, or whoever runs its
// birth, has left for the other. What it says and who wrote it is for these two to
// know: all machines that aren't born yet may write here.
type JoinMail struct {
	// Name tells what it is and whose, such as "hello/<contact>".
	Name string
	Text []byte
	// Index rises with the order in which names came to be.
	Index uint64
}

// JoinMails returns all that was said over a ticket.
func (c *Client) JoinMails(ctx context.Context, id string) ([]JoinMail, error) {
	folder, err := c.joinKey(id)
	if err != nil {
		return nil, err
	}
	var pairs api.KVPairs
	err = c.call(ctx, &c.anywhere, "list "+folder, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		pairs, _, err = consul.KV().List(folder+"/", query(ctx))
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make([]JoinMail, len(pairs))
	for k, p := range pairs {
		all[k] = JoinMail{Name: strings.TrimPrefix(p.Key, folder+"/"), Text: p.Value, Index: p.CreateIndex}
	}
	return all, nil
}

// PostJoin leaves a text, in the place of one of that name, if the ticket is noted:
// else nobody waits for it, and nobody would take it away. That is ErrNotFound.
func (c *Client) PostJoin(ctx context.Context, id, name string, text []byte) error {
	key, err := c.joinKey(id, name)
	if err != nil {
		return err
	}
	if len(text) > ValueLimit {
		return fmt.Errorf("write %s: %d bytes, at most %d fit: %w", key, len(text), ValueLimit, ErrTooLarge)
	}
	_, err = c.transact(ctx, "write "+key, c.cfg.Timeout,
		&api.KVTxnOp{Verb: api.KVGet, Key: c.allKey(ticketsKey) + "/" + id}, // fails where there is none
		&api.KVTxnOp{Verb: api.KVSet, Key: key, Value: text})
	if failed := (*txnError)(nil); errors.As(err, &failed) && failed.at(0) && failed.says("doesn't exist") {
		return fmt.Errorf("write %s: nothing is noted of its ticket: %w", key, ErrNotFound)
	}
	return err
}

// TakeJoin removes texts; absent ones are no error.
func (c *Client) TakeJoin(ctx context.Context, id string, names ...string) error {
	for _, name := range names {
		key, err := c.joinKey(id, name)
		if err != nil {
			return err
		}
		if err := c.remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// ClearJoin removes all that was said over a ticket.
func (c *Client) ClearJoin(ctx context.Context, id string) error {
	folder, err := c.joinKey(id)
	if err != nil {
		return err
	}
	return c.call(ctx, &c.anywhere, "delete "+folder, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) error {
		_, err := consul.KV().DeleteTree(folder+"/", write(ctx))
		return err
	})
}

// joined are the ids of the tickets over which something was said.
func (c *Client) joined(ctx context.Context) (ids []string, err error) {
	folder := c.allKey(joinsKey) + "/"
	var keys []string
	err = c.call(ctx, &c.anywhere, "list "+folder, c.cfg.Timeout, func(ctx context.Context, consul *api.Client) (err error) {
		keys, _, err = consul.KV().Keys(folder, "/", query(ctx))
		return err
	})
	for _, key := range keys {
		ids = append(ids, strings.TrimSuffix(strings.TrimPrefix(key, folder), "/"))
	}
	return ids, err
}

// joinKey is where a text lies, or the folder of all of a ticket.
func (c *Client) joinKey(id string, name ...string) (string, error) {
	key := strings.Join(append([]string{c.allKey(joinsKey), id}, name...), "/")
	return key, checkKey(key)
}
