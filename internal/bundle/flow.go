package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// A flow must bring flowLeast bytes, or its end, within each flowWait. That is far
// below any line on which Terraform could be used, and ends a server that sends a
// byte now and then as well as one that sends nothing.
const flowLeast = 64 << 10

// flowWait is a variable for tests.
var flowWait = 30 * time.Second

var errSlow = errors.New("the store is too slow")

// flow ends what runs under its context when too little comes.
type flow struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	came   int
}

// watchFlow begins to wait. Whoever begins stops it.
func watchFlow(ctx context.Context) (context.Context, *flow) {
	ctx, cancel := context.WithCancelCause(ctx)
	wait := flowWait
	timer := time.AfterFunc(wait, func() {
		cancel(passing(fmt.Errorf("%w: fewer than %d bytes came within %s", errSlow, flowLeast, wait)))
	})
	return ctx, &flow{ctx: ctx, cancel: cancel, timer: timer}
}

func (f *flow) stop() {
	f.timer.Stop()
	f.cancel(nil)
}

// reason tells what an error was really about.
func (f *flow) reason(err error) error {
	if cause := context.Cause(f.ctx); errors.Is(cause, errSlow) && !errors.Is(err, io.EOF) {
		return cause
	}
	return err
}

// reader reads from what must flow. What goes wrong there may pass.
func (f *flow) reader(from io.Reader) io.Reader { return &flowReader{flow: f, from: from} }

type flowReader struct {
	flow *flow
	from io.Reader
}

// Read implements io.Reader.
func (r *flowReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if r.flow.came += n; r.flow.came >= flowLeast {
		r.flow.came = 0
		r.flow.timer.Reset(flowWait)
	}
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, passing(r.flow.reason(err))
}
