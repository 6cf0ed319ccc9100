// Command tool plays our law against its peers on recorded loads and prints the
// tables of docs/benchmarks.md. make simulate runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/contest"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/table"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// options are the command's flags, and where tables go.
type options struct {
	parts, only, births, laws string
	traces, out, format       string
	seeds                     int
	ours                      bool
	stdout                    io.Writer
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	o := options{stdout: stdout}
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.StringVar(&o.parts, "parts", "rows", "what to run, of "+strings.Join(partNames(), ", "))
	flags.StringVar(&o.traces, "traces", "bench/traces", "the folder of traces")
	flags.IntVar(&o.seeds, "seeds", 5, "how many seeds")
	flags.StringVar(&o.format, "format", "text", "text, csv or markdown")
	flags.StringVar(&o.out, "out", "", "a folder for tables as CSV and for pictures; none if empty")
	flags.BoolVar(&o.ours, "ours", false, "only our law, not its peers")
	flags.StringVar(&o.laws, "laws", "", "only laws whose names begin like these, such as ours,HPA")
	flags.StringVar(&o.only, "only", "", "only these traces, such as wc,elb")
	flags.StringVar(&o.births, "births", "", "only these births, such as 20s,5m")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.seeds < 1 {
		return fmt.Errorf("unexpected arguments %q, or fewer than 1 seed: see -help", flags.Args())
	}
	if err := o.check(); err != nil {
		return err
	}
	for name := range strings.SplitSeq(o.parts, ",") {
		run := part(name)
		if run == nil {
			return fmt.Errorf("there is no part %q: use %s", name, strings.Join(partNames(), ", "))
		}
		if err := run(ctx, &o); err != nil {
			return fmt.Errorf("run the part %s: %w", name, err)
		}
	}
	return nil
}

// check finds births and formats that are none before anything is played.
func (o *options) check() error {
	if !slices.Contains(table.Formats, o.format) {
		return fmt.Errorf("write a table as %q: use one of %s", o.format, strings.Join(table.Formats, ", "))
	}
	if o.births == "" {
		return nil
	}
	for text := range strings.SplitSeq(o.births, ",") {
		d, err := time.ParseDuration(text)
		if err != nil || !slices.Contains(contest.Births, d) {
			return fmt.Errorf("%q is not a birth of the rows: use some of %v", text, contest.Births)
		}
	}
	return nil
}
