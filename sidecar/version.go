package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
)

// version is set when a release is built.
var version = "dev"

var versionCommand = command{
	name:    "version",
	summary: "print the version",
	flags: func(*flag.FlagSet) func(context.Context, stdio, []string) error {
		return func(_ context.Context, std stdio, args []string) error {
			if len(args) > 0 {
				return misused("it takes no arguments")
			}
			_, err := fmt.Fprintf(std.Out, "homeostat %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		}
	},
}
