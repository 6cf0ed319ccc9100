// Command rig brings the example up on this machine, plays a trace of load at it,
// and shows how the number of workers follows.
//
//	make queue          ten minutes; Ctrl-C ends it before, in good order
//	make queue-check    unattended, some minutes of it, as a test
//
// Everything it makes lies in one folder, which is removed at the end. KAFKA_BROKERS
// lets it use a Kafka that runs already; else the queue is a broker within this
// program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

type options struct {
	directory string
	brokers   string
	trace     string
	from      string
	lasts     time.Duration
	check     bool
}

const (
	// oneSignal is the time within which further signals count as the first.
	oneSignal = 2 * time.Second
	// downLimit is how long it may take to remove everything.
	downLimit = 5 * time.Minute
)

func main() {
	var o options
	minutes := flag.Float64("minutes", 10, "how long the trace is played")
	flag.StringVar(&o.directory, "dir", "", "folder for everything that is made (default a temporary one, removed at the end)")
	flag.StringVar(&o.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), "Kafka to use, host:port, separated by commas (default one within this program)")
	flag.StringVar(&o.trace, "trace", os.Getenv("TRACE"), "load to play, any that `homeostat simulate` reads (default an evening of the World Cup's web site in 1998)")
	flag.StringVar(&o.from, "from", "", "where in the trace to begin: a time as it stands there, or how long after its beginning, such as 36h")
	flag.BoolVar(&o.check, "check", false, "fail unless all went as it should")
	flag.Parse()
	o.lasts = time.Duration(*minutes * float64(time.Minute))
	// The first Ctrl-C ends it in good order, another one the program. Some callers
	// signal a process and then its group: that is one and the same.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(oneSignal, stop) })
	err := errors.Join(run(ctx, o), testkit.Shutdown())
	if err != nil {
		fmt.Fprintln(os.Stderr, "queue:", err)
		os.Exit(1)
	}
}

// run brings the example up, plays, and takes it down however that ends.
func run(ctx context.Context, o options) error {
	if err := forgetForeign(); err != nil {
		return err
	}
	plan, err := readPlan(o.trace, o.from, o.lasts)
	if err != nil {
		return err
	}
	fmt.Println("Building homeostat, the provider and the worker.")
	r, err := newRig(ctx, o.directory, o.brokers)
	if err != nil {
		return err
	}
	fmt.Printf("Everything is in %s: policy, root module, state, logs.\n", r.place.root)
	var line string
	if err = r.up(ctx, plan); err == nil {
		line, err = show(ctx, r, plan, o.check)
	}
	if ctx.Err() != nil {
		err = nil // asked to end: what was cut short is no fault
		if o.check {
			err = errors.New("the check was cut short")
		}
		fmt.Println("\nRemoving everything. Ctrl-C once more leaves it as it is.")
	}
	down, cancel := context.WithTimeout(context.WithoutCancel(ctx), downLimit)
	defer cancel()
	if err = errors.Join(err, r.down(down)); err != nil {
		return fmt.Errorf("%w\nthe logs are in %s", err, r.place.logs())
	}
	if err := r.place.remove(); err != nil {
		return err
	}
	fmt.Println("Nothing is left.")
	if line != "" {
		fmt.Println(line)
	}
	return nil
}
