package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// Pair is a cell and the cell of another service that it works with for life,
// such as an API and its database. It lies beside the partner's record.
type Pair struct {
	// Service, Cell and Incarnation are whose partner it is.
	Service     string `json:"service"`
	Cell        string `json:"cell"`
	Incarnation string `json:"incarnation"`
	// Partner is the name of the cell it is paired with, Address where that was
	// found then, host:port.
	Partner string    `json:"partner"`
	Address string    `json:"address"`
	At      time.Time `json:"at"`
	// Unread is why the rest isn't known: the key holds something else than a pair.
	// Service and Cell are then those of the key. It is a *CorruptError.
	Unread error `json:"-"`
}

func (p *Pair) check() error {
	if p.Service == "" || p.Cell == "" || p.Partner == "" || p.At.IsZero() {
		return errors.New("it does not name a cell, its partner and since when")
	}
	return nil
}

// pairTries is how often a choice is made anew because another cell chose first.
const pairTries = 100

// PairUp pairs a cell with one of the service with. A pair that keep agrees to
// stands. Otherwise choose picks a partner, knowing all pairs there are, those that
// can't be read included: cells that are born together see each other's choices, since
// each choice is a transaction that fails if another was made meanwhile, and is then
// made anew. choose fills in Partner and Address. A cell whose own pair can't be read
// gets no other: its data may be with the partner that it had.
func (c *Client) PairUp(ctx context.Context, with string, cell Cell, keep func(Pair) bool, choose func(context.Context, []Pair) (Pair, error)) (Pair, error) {
	what := fmt.Sprintf("pair %s with a cell of %s", cell.Name, with)
	if err := errors.Join(checkName("service", with), checkName("service", cell.Service), checkName("cell", cell.Name)); err != nil {
		return Pair{}, fmt.Errorf("%s: %w", what, err)
	}
	for range pairTries {
		turn, _, err := c.pair(ctx, c.key(with, keyPairing), 0)
		if err != nil {
			return Pair{}, fmt.Errorf("%s: %w", what, err)
		}
		all, err := c.Pairs(ctx, with)
		if err != nil {
			return Pair{}, fmt.Errorf("%s: %w", what, err)
		}
		if i := slices.IndexFunc(all, func(p Pair) bool { return p.Service == cell.Service && p.Cell == cell.Name }); i >= 0 {
			if err := all[i].Unread; err != nil {
				return Pair{}, fmt.Errorf("%s: %w", what, err)
			}
			if all[i].Incarnation == cell.Incarnation && keep(all[i]) {
				return all[i], nil
			}
			all = slices.Delete(all, i, i+1)
		}
		p, err := choose(ctx, all)
		if err != nil {
			return Pair{}, fmt.Errorf("%s: %w", what, err)
		}
		p.Service, p.Cell, p.Incarnation, p.At = cell.Service, cell.Name, cell.Incarnation, c.cfg.Now().UTC()
		if err = c.putPair(ctx, with, p, turn); err == nil {
			return p, nil
		}
		if failed, ok := errors.AsType[*txnError](err); !ok || !failed.at(0) || errors.Is(err, ErrDenied) {
			return Pair{}, fmt.Errorf("%s: %w", what, err)
		}
	}
	return Pair{}, fmt.Errorf("%s: %w: other cells have chosen first %d times", what, ErrConflict, pairTries)
}

// putPair writes a pair if nobody has chosen since the turn was read.
func (c *Client) putPair(ctx context.Context, with string, p Pair, turn *api.KVPair) error {
	if err := p.check(); err != nil {
		return err
	}
	key := c.key(with, keyPairs, p.Service, p.Cell)
	text, err := encode(key, p)
	if err != nil {
		return err
	}
	var index uint64
	if turn != nil {
		index = turn.ModifyIndex
	}
	last, err := encode(key, p.Cell)
	if err != nil {
		return err
	}
	_, err = c.transact(ctx, "write "+key, c.cfg.Timeout,
		&api.KVTxnOp{Verb: api.KVCAS, Key: c.key(with, keyPairing), Value: last, Index: index},
		&api.KVTxnOp{Verb: api.KVSet, Key: key, Value: text})
	return err
}

// Pairs returns all cells that are paired with one of a service. One whose key holds
// something else is among them, with the reason in Unread: it must neither be taken
// for no pair nor stand in the way of all others.
func (c *Client) Pairs(ctx context.Context, with string) ([]Pair, error) {
	folder := c.key(with, keyPairs)
	if err := checkKey(folder); err != nil {
		return nil, err
	}
	found, err := c.pairs(ctx, folder)
	if err != nil {
		return nil, err
	}
	all := make([]Pair, 0, len(found))
	for _, kv := range found {
		var p Pair
		if err := decode(kv.Key, kv.Value, &p); err != nil {
			p = Pair{Unread: err}
			p.Service, p.Cell, _ = strings.Cut(strings.TrimPrefix(kv.Key, folder+"/"), "/")
		}
		all = append(all, p)
	}
	return all, nil
}

// SweepPairs forgets the partners of this service's cells that are no more.
func (l *Lease) SweepPairs(ctx context.Context, with string, living []string) error {
	all, err := l.c.Pairs(ctx, with)
	if err != nil {
		return err
	}
	var ops []*api.KVTxnOp
	for _, p := range all {
		if p.Service == l.service && !slices.Contains(living, p.Cell) {
			ops = append(ops, &api.KVTxnOp{Verb: api.KVDelete, Key: l.c.key(with, keyPairs, p.Service, p.Cell)})
		}
	}
	return l.commit(ctx, "forget pairs with cells of "+with, ops)
}
