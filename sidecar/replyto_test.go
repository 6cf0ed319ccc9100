package main

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// A policy that is read again, with no spool any more, changes nothing of a cell that
// has one: messages go on naming it while the sidecar takes that policy.
func TestReplyToOutlivesThePolicy(t *testing.T) {
	read := func(spool string) *policy.Policy {
		p, diags := policy.Parse("test.hcl", []byte(strings.ReplaceAll(`
consul { address = "127.0.0.1:8500" }
kafka { brokers = ["127.0.0.1:9092"] }
service "api" {
  min = 1
  max = 2
  terraform { dir = "api" }
  SPOOL
}`, "SPOOL", spool)))
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return p
	}
	p := read("spool {\n topics = [\"pages\"]\n reply_to = true\n }")
	n := &node{
		leading: &leading{policy: p, log: slog.New(slog.DiscardHandler)}, service: p.Service("api"), began: p, own: p.Service("api"),
		cell: cell.New(cell.Config{Service: p.Service("api"), Identity: fleet.Cell{Address: "192.0.2.7", Port: 8080}}),
	}
	var saying sync.WaitGroup
	for range 4 {
		saying.Go(func() {
			for range 100 {
				if got := string(n.replyTo().Value); got != "http://192.0.2.7:8080" {
					t.Errorf("reply to %q", got)
				}
				if got := n.spoolDir("api-1"); !strings.HasSuffix(got, "api-1") {
					t.Errorf("the spool is in %s", got)
				}
			}
		})
	}
	n.take(read(""))
	saying.Wait()
}
