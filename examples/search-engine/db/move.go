package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
)

// move moves what this cell's database holds into the smallest of the others that are
// well. It is the service's drain command, so the cell goes only after its success.
func move(ctx context.Context, getenv func(string) string) error {
	cell, port := getenv("HOMEOSTAT_CELL"), getenv("HOMEOSTAT_PORT")
	if cell == "" || port == "" {
		return errors.New("HOMEOSTAT_CELL and HOMEOSTAT_PORT must say whose rows are to be moved: run this as the drain command of a cell")
	}
	own, err := open(ctx, net.JoinHostPort(getenv("HOMEOSTAT_ADDRESS"), port))
	if err != nil {
		return err
	}
	defer own.Close()
	service, err := discover.New("db")
	if err != nil {
		return err
	}
	cells, err := service.All(ctx)
	if err != nil {
		return err
	}
	name, to, err := smallest(ctx, cells, cell)
	if err != nil {
		return err
	}
	defer to.Close()
	slog.Info("moving what is stored", "from", cell, "to", name)
	pages, err := own.MoveTo(ctx, to)
	if err != nil {
		return fmt.Errorf("move what %s holds to %s: %w", cell, name, err)
	}
	fmt.Printf("moved %d pages from %s to %s\n", pages, cell, name)
	return nil
}

func open(ctx context.Context, address string) (*store.Store, error) {
	return store.Open(ctx, func(context.Context) (string, error) { return address, nil }, 2)
}

// smallest opens the database that holds the least, of those that are well.
func smallest(ctx context.Context, cells []discover.Cell, but string) (name string, to *store.Store, err error) {
	var least int64
	for _, c := range cells {
		if c.Name == but || c.Health != "passing" {
			continue
		}
		one, err := open(ctx, c.Address)
		if err != nil {
			return "", nil, err
		}
		size, err := one.Size(ctx)
		if err != nil || to != nil && size >= least {
			one.Close()
			continue
		}
		if to != nil {
			to.Close()
		}
		name, to, least = c.Name, one, size
	}
	if to == nil {
		return "", nil, errors.New("no other database is well: there is nowhere to move to; bring one up")
	}
	return name, to, nil
}
