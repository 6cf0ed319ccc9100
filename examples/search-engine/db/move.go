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
	name, to, err := smallest(ctx, open, cells, cell)
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

// opener opens a database at an address.
type opener func(ctx context.Context, address string) (*store.Store, error)

func open(ctx context.Context, address string) (*store.Store, error) {
	return store.Open(ctx, func(context.Context) (string, error) { return address, nil }, 2)
}

// smallest opens the database that holds the least, of those that are well. One that
// can't be opened or asked is passed over.
func smallest(ctx context.Context, open opener, cells []discover.Cell, but string) (name string, to *store.Store, err error) {
	var (
		least  int64
		failed []error
	)
	for _, c := range cells {
		if c.Name == but || c.Health != "passing" {
			continue
		}
		one, size, err := sized(ctx, open, c.Address)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s at %s: %w", c.Name, c.Address, err))
			continue
		}
		if to != nil && size >= least {
			one.Close()
			continue
		}
		if to != nil {
			to.Close()
		}
		name, to, least = c.Name, one, size
	}
	if to == nil {
		failed = append([]error{errors.New("no other database is well: there is nowhere to move to; bring one up")}, failed...)
		return "", nil, errors.Join(failed...)
	}
	if len(failed) > 0 {
		slog.Warn("databases that can't be asked are passed over", "error", errors.Join(failed...))
	}
	return name, to, nil
}

// sized opens a database and asks how much it holds.
func sized(ctx context.Context, open opener, address string) (*store.Store, int64, error) {
	one, err := open(ctx, address)
	if err != nil {
		return nil, 0, err
	}
	size, err := one.Size(ctx)
	if err != nil {
		one.Close()
		return nil, 0, err
	}
	return one, size, nil
}
