package front

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
)

// catalog tells of the same members until it ends.
type catalog struct {
	members []fleet.Member
	watches atomic.Int64
}

// WatchMembers implements Catalog.
func (c *catalog) WatchMembers(ctx context.Context, _ string, fn func([]fleet.Member)) error {
	c.watches.Add(1)
	fn(c.members)
	<-ctx.Done()
	return ctx.Err()
}

// A cell that is hot finds one of a thousand siblings with room by a few signed
// probes; while it isn't hot it neither watches nor asks.
func TestSiblings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%064d\n", 7), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := peer.ReadKeys(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	var probes atomic.Int64
	sidecar := httptest.NewServer(peer.NewVerifier(keys, time.Now).Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		probes.Add(1)
		fmt.Fprintln(w, load.Report{InFlight: 3, Limit: 10})
	})))
	defer sidecar.Close()
	c := &catalog{}
	for i := range 1000 {
		c.members = append(c.members, fleet.Member{
			Cell:   fleet.Cell{Service: "api", Name: fmt.Sprintf("api-%d", i), Address: "192.0.2.1", Port: 1000 + i, Vitals: sidecar.URL},
			Health: fleet.Passing,
		})
	}
	r := rule()
	cells := NewCells(CellsConfig{Service: "api", Rule: r, Catalog: c, Sign: keys.Transport, Self: "api-1"})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { cells.RunWhileWanted(ctx); close(ended) }()
	if c.watches.Load() != 0 {
		t.Error("siblings are watched though nobody asked")
	}
	began := time.Now()
	found := func() bool {
		address, ok := cells.WithRoom(false)
		if ok && address == "http://192.0.2.1:1001" {
			t.Error("sent to itself")
		}
		return ok
	}
	for deadline := began.Add(patient); !found(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no sibling was found")
		}
	}
	if _, ok := cells.WithRoom(true); ok {
		t.Error("found a sibling for crawlers, and none takes any")
	}
	if most := int64(r.Probes*time.Since(began).Seconds()) + 2; probes.Load() > most {
		t.Errorf("%d probes, at most %d expected", probes.Load(), most)
	}
	cancel()
	<-ended
	if c.watches.Load() != 1 {
		t.Errorf("%d watches", c.watches.Load())
	}
}
