// Command terraform-provider-homeostat is the Terraform provider: it knows what
// a cell is, how one comes to be and how it ends.
//
// It decides nothing. How many cells there are is the caller's, a person's or
// the leader's of a service; what a cell runs is the configuration's. What
// there is to know of living cells is read from Consul, where they register
// themselves, and of their processes from this host.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
)

// address is the provider's in the registry, and in required_providers.
const address = "registry.terraform.io/homeostat-io/homeostat"

// version is set when a release is built.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "serve for a debugger: print how to attach, and don't end with the parent process")
	flag.Parse()
	if err := serve(context.Background(), *debug); err != nil {
		fmt.Fprintln(os.Stderr, "terraform-provider-homeostat:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, debug bool) error {
	if !debug && os.Getenv("TF_PLUGIN_MAGIC_COOKIE") != "" {
		go endWithParent(ctx, os.Getppid(), os.Getppid, os.Exit)
	}
	return providerserver.Serve(ctx, New(version), providerserver.ServeOpts{Address: address, ProtocolVersion: 6, Debug: debug})
}
