package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/pairing"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// newPartner is what finds the cell's partner; nil where the policy pairs it with
// none. The function returned lets go of connections.
func newPartner(s *policy.Service, identity fleet.Cell, n *leading) (*pairing.Partner, func()) {
	if s.Pair == "" {
		return nil, func() {}
	}
	siblings := sense.NewSiblings(sense.SiblingsConfig{Sign: n.peers.Transport})
	return pairing.New(pairing.Config{
		Cell: identity, With: s.Pair, Fleet: n.fleet, Vitals: siblings.Gather,
		Limit: s.PairWait, Log: n.log, Now: time.Now,
	}), siblings.Close
}

// findPartner finds the cell's partner, tells the application of it, which hasn't
// begun yet, and follows how it fares until ctx ends, counted in watching.
func (n *node) findPartner(ctx context.Context, watching *sync.WaitGroup) error {
	if n.partner == nil {
		return nil
	}
	pair, err := n.partner.Find(ctx)
	if err != nil {
		return fmt.Errorf("begin the application: %w", err)
	}
	n.app.Tell(pairing.Variable(n.partner.With), pair.Address)
	watching.Go(func() {
		if err := n.partner.Watch(ctx); err != nil && ctx.Err() == nil {
			n.leading.log.Error("no longer following how the partner fares", "error", err)
		}
	})
	return nil
}
