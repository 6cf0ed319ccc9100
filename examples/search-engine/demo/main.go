// Command demo brings the search engine up on this machine, lets it crawl a web
// of thousands of pages, and shows how Homeostat keeps its services in balance.
//
//	make demo                  until Ctrl-C, which removes everything again
//	make demo WEB=docs.zip     another web: a .jar, .zip or folder of HTML
//	make demo-check            unattended, with a smaller web, as a test
//	make localstack            the crawlers on machines of their own: -machines, see
//	make localstack-check      examples/localstack
//
// Everything it makes lies in one folder, which it names. KAFKA_BROKERS lets it
// use a Kafka that runs already; else the queue is a broker within this program.
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
)

type options struct {
	directory string
	web       string
	start     string
	brokers   string
	machines  bool
	providers string
	check     bool
}

// oneSignal is the time within which further signals count as the first.
const oneSignal = 2 * time.Second

func main() {
	var o options
	flag.StringVar(&o.directory, "dir", "", "folder for everything the demo makes (default a temporary one, removed at the end)")
	flag.StringVar(&o.web, "web", os.Getenv("WEB"), "web to crawl: a .jar, .zip or folder of HTML (default the documentation of Lucene)")
	flag.StringVar(&o.start, "start", "", "page to begin with; only its folder is crawled (default index.html)")
	flag.StringVar(&o.brokers, "brokers", os.Getenv("KAFKA_BROKERS"), "Kafka to use, host:port, separated by commas (default one within this program)")
	flag.BoolVar(&o.machines, "machines", false, "have the crawlers live on machines of their own, which are ordered from LocalStack's EC2")
	flag.StringVar(&o.providers, "providers", os.Getenv("PROVIDERS"), "with -machines: a filesystem mirror that holds the AWS provider (default one that is found)")
	flag.BoolVar(&o.check, "check", false, "crawl three times, search, kill cells, and fail unless all went as it should; with -machines: crawl once")
	flag.Parse()
	// The first Ctrl-C ends the demo in good order, another one the program. Some
	// callers signal a process and then its group: that is one and the same.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(oneSignal, stop) })
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run brings the system up, and takes it down however the time between ends.
func run(ctx context.Context, o options) error {
	if err := forgetForeign(); err != nil {
		return err
	}
	d, err := prepare(ctx, o)
	if why, ok := errors.AsType[notPossible](err); ok {
		return why.tell(o)
	}
	if err != nil {
		return err
	}
	fmt.Printf("Everything is in %s: policy, root modules, states, logs.\n", d.place.root)
	var line string
	err = d.up(ctx)
	switch {
	case err != nil:
	case o.check && o.machines:
		line, err = d.checkMachines(ctx)
	case o.check:
		line, err = d.check(ctx)
	default:
		err = d.show(ctx)
	}
	if ctx.Err() != nil {
		err = nil // asked to end: what was cut short is no fault of the demo's
		if o.check {
			err = errors.New("the check was cut short")
		}
		fmt.Println("\nRemoving everything. Ctrl-C once more leaves it as it is.")
	}
	down, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Minute)
	defer cancel()
	err = errors.Join(err, d.down(down))
	if err != nil {
		return fmt.Errorf("%w\nthe logs are in %s", err, d.place.logs())
	}
	if err := d.place.remove(); err != nil {
		return err
	}
	fmt.Println("Nothing is left.")
	if line != "" {
		fmt.Println(line)
	}
	return nil
}
