package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"
)

// PutRecord writes the record in one transaction that checks that the lock is
// still held and that the record is still the one of that modify index; index 0
// means that there is none yet. It fills in format and epoch and returns the new
// modify index. It returns ErrFenced or ErrConflict when nothing was written,
// and ErrUnreachable when that can't be told: then read the record again.
func (l *Lease) PutRecord(ctx context.Context, r Record, index uint64) (uint64, error) {
	r.Format, r.Epoch = r.format(), l.Epoch()
	if err := r.check(); err != nil {
		return 0, fmt.Errorf("write the record of %s: %w", l.service, err)
	}
	key := l.c.key(l.service, keyRecord)
	text, err := encode(key, r)
	if err != nil {
		return 0, err
	}
	results, err := l.transact(ctx, "write the record of "+l.service, l.c.cfg.Timeout,
		&api.KVTxnOp{Verb: api.KVCAS, Key: key, Value: text, Index: index})
	if failed, ok := errors.AsType[*txnError](err); ok && failed.at(1) && !errors.Is(err, ErrDenied) {
		return l.alreadyPut(ctx, key, text)
	}
	if err != nil {
		return 0, err
	}
	return results[0].KV.ModifyIndex, nil
}

// alreadyPut looks what a write conflicted with. When one address took it and
// failed to answer, the next finds it done: only this lease could have written
// the very same text, epoch included.
func (l *Lease) alreadyPut(ctx context.Context, key string, text []byte) (uint64, error) {
	pair, _, err := l.c.pair(ctx, key, 0)
	if err != nil {
		return 0, err
	}
	if pair == nil || !bytes.Equal(pair.Value, text) {
		return 0, fmt.Errorf("write the record of %s: %w", l.service, ErrConflict)
	}
	return pair.ModifyIndex, nil
}

// Put writes a value under the service, fenced by the lock. The key is relative,
// such as "law". The record has PutRecord.
func (l *Lease) Put(ctx context.Context, key string, v any) error {
	return l.putAll(ctx, map[string]any{key: v})
}

// putAll writes several values or none.
func (l *Lease) putAll(ctx context.Context, values map[string]any) error {
	var ops []*api.KVTxnOp
	for key, v := range values {
		path, err := l.path(key)
		if err != nil {
			return err
		}
		text, err := encode(path, v)
		if err != nil {
			return err
		}
		ops = append(ops, &api.KVTxnOp{Verb: api.KVSet, Key: path, Value: text})
	}
	return l.commit(ctx, "write "+l.service, ops)
}

// Delete removes keys under the service, fenced by the lock; absent ones are no
// error.
func (l *Lease) Delete(ctx context.Context, keys ...string) error {
	var ops []*api.KVTxnOp
	for _, key := range keys {
		path, err := l.path(key)
		if err != nil {
			return err
		}
		ops = append(ops, &api.KVTxnOp{Verb: api.KVDelete, Key: path})
	}
	return l.commit(ctx, "delete keys of "+l.service, ops)
}

// txnLimit is how many operations go into one transaction; Consul takes 64, one
// of which is the fence.
const txnLimit = 60

// commit carries the operations out, in one transaction where they fit.
func (l *Lease) commit(ctx context.Context, what string, ops []*api.KVTxnOp) error {
	for len(ops) > 0 {
		n := min(len(ops), txnLimit)
		if _, err := l.transact(ctx, what, l.c.cfg.Timeout, ops[:n]...); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

// path is where a relative key lies. Lock and record have ways of their own.
func (l *Lease) path(key string) (string, error) {
	if !validKey(key) || key == keyLock || key == keyRecord {
		return "", fmt.Errorf("write %q of %s: not a key that may be written so", key, l.service)
	}
	return l.c.key(l.service, key), nil
}
