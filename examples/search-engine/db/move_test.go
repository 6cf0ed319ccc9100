package main

import (
	"context"
	"errors"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// One database that can't be opened, or doesn't answer, is no reason not to move to
// another that is well.
func TestMovesPastADatabaseThatIsIll(t *testing.T) {
	if testing.Short() {
		t.Skip("starts PostgreSQL")
	}
	well := testkit.Postgres(t)
	ill := errors.New("it can't be opened")
	opener := func(ctx context.Context, address string) (*store.Store, error) {
		if address == "ill" {
			return nil, ill
		}
		return open(ctx, address)
	}
	own := discover.Cell{Name: "db-1", Health: "passing", Address: "ill"}
	first := discover.Cell{Name: "db-2", Health: "passing", Address: "ill"}
	silent := discover.Cell{Name: "db-3", Health: "passing", Address: "127.0.0.1:1"}
	good := discover.Cell{Name: "db-4", Health: "passing", Address: well.Addr()}
	last := discover.Cell{Name: "db-5", Health: "passing", Address: "ill"}
	spared := discover.Cell{Name: "db-6", Health: "warning", Address: well.Addr()}
	name, to, err := smallest(t.Context(), opener, []discover.Cell{own, first, silent, good, last, spared}, "db-1")
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if size, err := to.Size(t.Context()); name != "db-4" || err != nil || size == 0 {
		t.Errorf("%s was taken, with %d bytes, %v", name, size, err)
	}
	if _, _, err := smallest(t.Context(), opener, []discover.Cell{own, first, spared}, "db-1"); !errors.Is(err, ill) {
		t.Errorf("nobody is well, and it says %v", err)
	}
}
