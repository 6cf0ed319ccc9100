package main

import (
	"context"
	"time"
)

// parentEvery is how often the provider looks whether Terraform still lives.
const parentEvery = 250 * time.Millisecond

// lastWords is what a call in flight gets to end by itself once Terraform is
// gone. Its context is cancelled with the connection.
const lastWords = time.Second

// endWithParent ends the program when its parent has died, which Terraform's
// plugin protocol doesn't do. A provider that lived on would hold the lock of
// the cell whose birth was cut.
func endWithParent(ctx context.Context, parent int, getppid func() int, exit func(int)) {
	tick := time.NewTicker(parentEvery)
	defer tick.Stop()
	for getppid() == parent {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	select {
	case <-time.After(lastWords):
		exit(1)
	case <-ctx.Done():
	}
}
