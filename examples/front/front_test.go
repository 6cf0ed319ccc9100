// Package front holds the test of the example as a whole: real Terraform and
// Consul, the provider and the sidecar built from this tree.
package front

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// limit is for anything awaited, on a busy machine.
const limit = 4 * time.Minute

// One of three Consul servers dies, then another: clients get their pages, cells are
// ordered, and the server that is a cell comes back over its data. Then the cells
// leave the cluster one by one, and the first server is alone again.
func TestServersDie(t *testing.T) {
	r := newRig(t)
	for _, service := range []string{checker, "api", "front"} {
		r.up(t, service)
	}
	if says := r.output(t, checker, "majority"); says != "2 of 3 servers have to live, 1 may fail" {
		t.Errorf("the module says %q", says)
	}
	r.awaitVoters(t, checker+"-1", checker+"-2", "testkit")
	r.keepsSecret(t)
	clients := r.visit(t)

	id, life := r.nodeID(t, checker+"-1"), r.life(t, checker+"-1")
	r.kill(t, checker+"-1")
	r.pin(t, "api", 3)
	r.awaitReady(t, "api", 3)
	r.awaitAnotherLife(t, checker+"-1", life)
	r.awaitReady(t, checker, 2)
	r.awaitVoters(t, checker+"-1", checker+"-2", "testkit")
	if now := r.nodeID(t, checker+"-1"); now != id {
		t.Errorf("the server's id was %s and is %s: it has lost its data", id, now)
	}

	// Now the one that they all went to.
	if err := r.consul.Kill(); err != nil {
		t.Fatal(err)
	}
	r.pin(t, "api", 4)
	r.awaitReady(t, "api", 4)
	if err := r.consul.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.awaitVoters(t, checker+"-1", checker+"-2", "testkit")
	clients.stop(t)

	r.pin(t, checker, 0)
	r.awaitVoters(t, "testkit")
	r.awaitReady(t, checker, 0)
}

// clients visit the fronts, one after the other, until they are stopped.
type clients struct {
	cancel  context.CancelFunc
	visits  sync.WaitGroup
	pages   int
	refused []string
}

// visit begins once each front has given a page.
func (r *rig) visit(t *testing.T) *clients {
	t.Helper()
	addresses := r.addresses(t)
	for _, address := range addresses {
		testkit.Await(t, limit, func(ctx context.Context) error { return fetch(ctx, address) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := &clients{cancel: cancel}
	t.Cleanup(cancel)
	c.visits.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			limit, done := context.WithTimeout(ctx, 30*time.Second)
			if err := fetch(limit, addresses[n%len(addresses)]); err == nil {
				c.pages++
			} else if ctx.Err() == nil {
				c.refused = append(c.refused, err.Error())
			}
			done()
			time.Sleep(20 * time.Millisecond) // clients, not a load test
		}
	})
	return c
}

// stop fails the test if a client didn't get its page.
func (c *clients) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	c.visits.Wait()
	t.Logf("%d pages", c.pages)
	if c.pages == 0 || len(c.refused) > 0 {
		t.Errorf("%d pages, and refused were %q", c.pages, c.refused[:min(len(c.refused), 10)])
	}
}

// fetch has a front get a page of an api cell.
func fetch(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !strings.HasPrefix(string(text), "api-")) {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return err
}
