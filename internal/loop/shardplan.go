package loop

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// planSpread plans an order of a service that is spread without acting, but for what lies
// in shards that wait. A workspace that an order would make isn't made by looking: of it
// nothing is planned.
func (l *Leader) planSpread(ctx context.Context, o Outcome, order guard.Order) (Outcome, error) {
	order, waits := l.movable(order)
	if waits && order.Size() == 0 {
		o.Held = cmp.Or(o.Held, l.shardTrouble())
	}
	j := l.newSpreadJob(order)
	j.shape.Dependents = nil
	all, err := j.roots.All(ctx)
	if err != nil {
		return o, err
	}
	there := map[int]bool{0: true}
	for _, n := range all {
		there[n] = true
	}
	for _, p := range j.parts {
		if !there[p.shard] {
			l.Log.Info("the order makes a workspace, in which nothing is planned before", "shard", p.shard, "cells", p.desired.Count)
			continue
		}
		if err := p.look(ctx, &o); err != nil {
			return o, fmt.Errorf("shard %d: %w", p.shard, err)
		}
	}
	return o, nil
}

// look plans one shard and adds what the plan holds to the outcome.
func (p *part) look(ctx context.Context, o *Outcome) error {
	root, err := p.job.roots.Open(ctx, p.shard)
	if err != nil {
		return err
	}
	plan, err := root.Plan(ctx, p.desired, p.order, p.job.shape)
	var refused *act.RefusedError
	if errors.As(err, &refused) {
		o.Refused = append(o.Refused, refused.Verdict.Refused...)
		return nil
	}
	if err != nil {
		return err
	}
	o.Changes, o.Drift = append(o.Changes, plan.Changes...), append(o.Drift, plan.Drift...)
	return plan.Discard()
}
