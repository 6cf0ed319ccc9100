// Command rig plays the example through on four blank machines, which it boots in
// namespaces of this host.
//
//	make ssh          certificates; until Ctrl-C, which removes everything again
//	make ssh-check    unattended, with certificates and with keys, as a test
//
// It does what the README tells an operator to do. It needs root on a Linux that
// can boot machines by systemd-nspawn; elsewhere it says so.
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

// downLimit is how long it may take to remove everything.
const downLimit = 5 * time.Minute

func main() {
	check := flag.Bool("check", false, "play it through unattended and fail unless all went as it should")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := 0
	if err := run(ctx, *check); err != nil {
		fmt.Fprintln(os.Stderr, "ssh:", err)
		code = 1
	}
	if err := testkit.Shutdown(); err != nil {
		fmt.Fprintln(os.Stderr, "ssh:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, check bool) error {
	if err := testkit.MachinesPossible(ctx); err != nil {
		return notRun(err)
	}
	p, err := newPlace(ctx)
	if err != nil {
		return err
	}
	line := ""
	if check {
		line, err = checkAll(ctx, p)
	} else {
		err = show(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("%w\nwhat was written is in %s", err, p.root)
	}
	if err := p.remove(); err != nil {
		return err
	}
	fmt.Println("Nothing is left.")
	if line != "" {
		fmt.Println(line)
	}
	return nil
}

// notRun says that nothing can be shown here, and why. Where everything has to run,
// that is a failure.
func notRun(why error) error {
	line := fmt.Sprintf("not run: births over SSH on blank machines, because %v", why)
	fmt.Println(line)
	fmt.Println("What still works: the policy, the genome and the root module of examples/ssh with machines of your own.")
	fmt.Println("checks not run: 1")
	if os.Getenv("CI") == "true" {
		return errors.New(line)
	}
	return nil
}

// show brings the example up and leaves it to whoever looks at it.
func show(ctx context.Context, p *place) error {
	r, err := newRig(ctx, p, byCertificate)
	if err != nil {
		return err
	}
	if err = r.up(ctx); err == nil {
		err = r.pin(ctx, 2)
	}
	if err == nil {
		fmt.Print(r.help())
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		err = nil // asked to end
		fmt.Println("\nRemoving everything.")
	}
	down, cancel := context.WithTimeout(context.WithoutCancel(ctx), downLimit)
	defer cancel()
	return errors.Join(err, r.down(down), r.close(down))
}

// checkAll plays it through by certificates and by keys, and returns the line of
// figures to end with.
func checkAll(ctx context.Context, p *place) (string, error) {
	var all tally
	for _, how := range []access{byCertificate, byKey} {
		r, err := newRig(ctx, p, how)
		if err != nil {
			return "", err
		}
		err = r.check(ctx)
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), downLimit)
		err = errors.Join(err, r.close(down))
		cancel()
		if err != nil {
			return "", fmt.Errorf("by %s: %w", how, err)
		}
		fmt.Printf("by %s: %s\n", how, r.tally)
		all.add(r.tally)
	}
	return all.String(), nil
}
