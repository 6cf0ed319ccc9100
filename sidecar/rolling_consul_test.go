package main

import (
	"context"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// countPassing follows every change of the service in Consul, as a client of it
// would, until the function it returns is called. That tells the least and the
// most cells that were passing at a time.
func countPassing(t testing.TB, server *testkit.ConsulServer) func() (least, most int) {
	t.Helper()
	client, err := server.Client()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	least, most, done := 1<<30, 0, make(chan struct{})
	go func() {
		defer close(done)
		for index := uint64(0); ; {
			query := &api.QueryOptions{WaitIndex: index, RequireConsistent: true}
			passing, meta, err := client.Health().Service("pod", "", true, query.WithContext(ctx))
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Errorf("how many cells are passing isn't known: %v", err)
				return
			}
			index, least, most = meta.LastIndex, min(least, len(passing)), max(most, len(passing))
		}
	}()
	return func() (int, int) { cancel(); <-done; return least, most }
}
