// Command prepare gets what tests, the demo and developing need into the cache,
// or finds it on the machine, and prints where each lies.
//
//	prepare                 what tests need: consul kafka moto postgres terraform, and
//	                        localstack and the file system of machines where they
//	                        are possible
//	prepare -path NAME      only the path of one, for use in scripts
//	prepare NAME...         the named ones; also golangci-lint, tfplugindocs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// find says where a program or distribution is, and gets it if need be.
type find func(context.Context) (string, error)

var known = map[string]find{
	"consul":        testkit.ConsulBinary,
	"kafka":         testkit.KafkaDirectory,
	"localstack":    testkit.LocalStackPython,
	"moto":          testkit.MotoPython,
	"machine":       testkit.MachineRoot,
	"postgres":      testkit.PostgresBinaries,
	"terraform":     testkit.TerraformBinary,
	"golangci-lint": testkit.LintBinary,
	"tfplugindocs":  testkit.DocsBinary,
}

// forTests are the ones that tests need, the quick ones first.
var forTests = []string{"terraform", "postgres", "moto", "kafka", "consul"}

func main() {
	path := flag.Bool("path", false, "print the path only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := prepare(ctx, flag.Args(), *path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// prepare goes on after a failure: one thing that can't be had should not hide
// that others can't either.
func prepare(ctx context.Context, names []string, pathOnly bool) error {
	if len(names) == 0 {
		names = forTests
		// Tests that need these say so where they can't be had.
		for name, possible := range map[string]func(context.Context) error{
			"machine": testkit.MachinesPossible, "localstack": testkit.LocalStackPossible,
		} {
			if err := possible(ctx); err == nil {
				names = append(names, name)
			} else if !pathOnly {
				fmt.Printf("%-14s left out: %v\n", name, err)
			}
		}
	}
	var failed []error
	for _, name := range names {
		get, ok := known[name]
		if !ok {
			return fmt.Errorf("prepare %s: there is no such thing; known are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		start := time.Now()
		path, err := get(ctx)
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("prepare %s: %w", name, err))
		case pathOnly:
			fmt.Println(path)
		default:
			fmt.Printf("%-14s %s (%s)\n", name, path, time.Since(start).Round(100*time.Millisecond))
		}
	}
	return errors.Join(failed...)
}
