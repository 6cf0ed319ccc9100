package main

import (
	"context"
	"sync"
	"time"
)

// startCell starts the application and keeps the cell registered. The function
// returned drains the cell, stops the application and deregisters.
func (n *node) startCell(ctx context.Context) (stop func()) {
	if n.cell == nil {
		return func() {}
	}
	// What keeps the cell alive doesn't end with the signal: it ends in order.
	background := context.WithoutCancel(ctx)
	appCtx, stopApp := context.WithCancel(background)
	cellCtx, stopCell := context.WithCancel(background)
	var app, cell sync.WaitGroup
	app.Go(func() {
		if err := n.app.Run(appCtx); err != nil && appCtx.Err() == nil {
			n.failed <- err
		}
	})
	cell.Go(func() {
		if err := n.cell.Run(cellCtx); err != nil && cellCtx.Err() == nil {
			n.failed <- err
		}
	})
	return func() {
		n.drain(background)
		stopApp()
		app.Wait()
		stopCell()
		cell.Wait()
	}
}

// drain lets the application finish what it has in hand, for the time the
// policy allows. An application that isn't well has nothing to finish.
func (n *node) drain(ctx context.Context) {
	if ok, _ := n.app.Well(); !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.service.Drain.Timeout)
	defer cancel()
	n.cell.Ask("the sidecar was asked to end")
	n.cell.AwaitIdle(ctx, n.service.Health.Timeout+5*time.Second, 50*time.Millisecond)
}
