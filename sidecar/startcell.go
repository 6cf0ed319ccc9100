package main

import (
	"context"
	"sync"
)

// startCell starts the application and keeps the cell registered. The function
// returned drains the cell, stops the application and deregisters. A cell that
// leaves by order stops leading before it stops the application.
func (n *node) startCell(ctx context.Context, stopLeading func()) (stop func()) {
	if n.cell == nil {
		return func() {}
	}
	// What keeps the cell alive doesn't end with the signal: it ends in order.
	background := context.WithoutCancel(ctx)
	stopApp := func() error { return nil }
	if n.cell.Resumes(ctx) {
		n.leading.log.Info("the cell goes on leaving: its application is not started again")
		n.proxy.close() // or callers would wait for an answer
	} else {
		stopApp = n.startApp(background)
	}
	n.cell.Stop = func(context.Context) error {
		stopLeading()
		return stopApp()
	}
	cellCtx, stopCell := context.WithCancel(background)
	var cell sync.WaitGroup
	cell.Go(func() {
		if err := n.cell.Run(cellCtx); err != nil && cellCtx.Err() == nil {
			n.ended <- err
		}
	})
	return func() {
		n.drain(background)
		if err := stopApp(); err != nil {
			n.leading.log.Error("the application was not ended whole", "error", err)
		}
		if err := n.cell.EmptySpool(background); err != nil {
			n.leading.log.Error("the sidecar ends before its spool is empty", "error", err)
		}
		stopCell()
		cell.Wait()
	}
}

// startApp runs the application. The function returned ends it, and says
// whether anything is left of it; it may be called again.
func (n *node) startApp(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var app sync.WaitGroup
	var err error
	app.Go(func() {
		if err := n.findPartner(ctx, &app); err != nil {
			if ctx.Err() == nil {
				n.ended <- err
			}
			return
		}
		if err = n.app.Run(ctx); err != nil && ctx.Err() == nil {
			n.ended <- err
		}
	})
	stopProxy := n.proxy.serve(ctx, func(err error) { n.ended <- err })
	return func() error {
		stopProxy()
		cancel()
		app.Wait()
		return err
	}
}

// drain lets the application finish what it has in hand, for the time the
// policy allows.
func (n *node) drain(ctx context.Context) {
	n.cell.Ask("the sidecar was asked to end")
	n.cell.FinishWork(ctx, n.own.Drain.Timeout)
}
