package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestSpreadSaysWhoLeads has cells wait to be moved while a leader is there, and while
// nobody is who would do it.
func TestSpreadSaysWhoLeads(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Consul")
	}
	c, err := fleet.New(fleet.Config{Addresses: []string{testkit.SharedConsul(t).Addr()}, Prefix: "spread-leads"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	lease, err := c.TryStand(t.Context(), "pod", fleet.Holder{Host: "here"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lease.PutRecord(t.Context(), fleet.Record{Names: []string{"pod-1", "pod-2"}, Count: 2}, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.WishSpread(t.Context(), "pod", fleet.SpreadWish{By: "anna"}); err != nil {
		t.Fatal(err)
	}
	says := func(want string) {
		t.Helper()
		var b strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_ = awaitSpread(ctx, &b, c, &policy.Service{Name: "pod", Terraform: policy.Terraform{ShardSize: 1}}) // which nobody ends
		if !strings.Contains(b.String(), want) {
			t.Errorf("it doesn't say %q:\n%s", want, b.String())
		}
	}
	says("pod: 1 cell to move, led by a leader without a cell (process 0 on here")
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	says("pod: 1 cell to move; nobody leads it now")
}
