package fleet

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// transact commits all operations or none. An operation that fails makes a
// *txnError.
func (c *Client) transact(ctx context.Context, what string, limit time.Duration, ops ...*api.KVTxnOp) (api.TxnResults, error) {
	all := make(api.TxnOps, len(ops))
	for i, op := range ops {
		all[i] = &api.TxnOp{KV: op}
	}
	var results api.TxnResults
	err := c.call(ctx, &c.anywhere, what, limit, func(ctx context.Context, consul *api.Client) error {
		ok, response, _, err := consul.Txn().Txn(all, query(ctx))
		if err != nil {
			return err
		}
		results = response.Results
		if !ok {
			return &txnError{response.Errors}
		}
		return nil
	})
	return results, err
}

// txnError is why a transaction was rolled back.
type txnError struct{ errors api.TxnErrors }

func (e *txnError) Error() string {
	var all []string
	for _, one := range e.errors {
		all = append(all, one.What)
	}
	return strings.Join(all, "; ")
}

// Unwrap tells a refused token from a failed condition.
func (e *txnError) Unwrap() []error {
	if e.says("Permission denied") || e.says("ACL not found") {
		return []error{errAnswered, ErrDenied}
	}
	return []error{errAnswered}
}

func (e *txnError) says(word string) bool { return strings.Contains(e.Error(), word) }

// at says whether the operation of that index failed.
func (e *txnError) at(index int) bool {
	for _, one := range e.errors {
		if one.OpIndex == index {
			return true
		}
	}
	return false
}
