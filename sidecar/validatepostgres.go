package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// validatePostgres takes one look at each database of the service that can be reached
// from here, as the sidecar beside it does. Consul is why the cells aren't known, if so.
func (n *leading) validatePostgres(ctx context.Context, f *findings, s *policy.Service, consul error) {
	if s.Postgres == nil {
		return
	}
	var members []fleet.Member
	if consul == nil {
		if members, consul = n.fleet.Members(ctx, s.Name); consul != nil {
			f.fail("%s: %v", s.Name, consul)
		}
	}
	cells, why := reachable(s.Postgres, members, consul)
	if why != "" {
		f.warn("%s: PostgreSQL: %s", s.Name, why)
	}
	looks := make([]func(), len(cells))
	var g errgroup.Group
	g.SetLimit(16)
	for i, cell := range cells {
		g.Go(func() error {
			looks[i] = lookAtPostgres(ctx, f, s, cell)
			return nil
		})
	}
	_ = g.Wait() // what is wrong is in what each tells
	for _, tell := range looks {
		tell()
	}
}

// reachable are cells, each with a database of its own that can be reached from here,
// and why others can't.
func reachable(p *policy.Postgres, members []fleet.Member, consul error) (cells []fleet.Cell, why string) {
	elsewhere := 0
	for _, m := range members {
		switch {
		case m.Health == fleet.Critical: // It may not have begun, or be gone.
		case p.Host != "" && isHere(p.Host) && !isHere(m.Address):
			elsewhere++
		default:
			cells = append(cells, m.Cell)
		}
	}
	switch {
	case elsewhere > 0:
		return cells, fmt.Sprintf("%s can't be reached from here, since host = %q means each one's own machine: "+
			"run validate -live there, or see what its sidecar says by homeostat status", plural(elsewhere, "database"), p.Host)
	case p.Host != "" && p.Port != 0:
		return []fleet.Cell{{}}, "" // It is the same for all.
	case len(cells) > 0:
		return cells, ""
	case consul != nil:
		return nil, "where it is can't be told, as Consul doesn't tell which cells there are"
	}
	return nil, "none was reached, as no cell of the service takes work yet"
}

// isHere says whether a host is this machine.
func isHere(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addresses, _ := net.InterfaceAddrs() // none: it is no machine's but by loopback
	return a.IsLoopback() || slices.ContainsFunc(addresses, func(own net.Addr) bool {
		network, err := netip.ParsePrefix(own.String())
		return err == nil && network.Addr() == a.Unmap()
	})
}

// lookAtPostgres returns what tells of one look.
func lookAtPostgres(ctx context.Context, f *findings, s *policy.Service, cell fleet.Cell) (tell func()) {
	db, err := database(s, cell)
	if err != nil {
		return func() { f.fail("%s: %v", s.Name, err) }
	}
	d := db.Look(ctx)
	ending, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = db.Close(ending) // what doesn't end in time ends with this program
	host, port := databaseAt(s.Postgres, cell)
	at := net.JoinHostPort(host, strconv.Itoa(port))
	return func() { tellOfPostgres(f, s.Name, at, d) }
}

func tellOfPostgres(f *findings, service, at string, d sense.Database) {
	switch {
	case !d.Share.Known && !d.Probe.Known:
		f.fail("%s: %s. Start it, or put right what the block postgres says of it: host, port, database, user, password, sslmode", service, d.Probe.Reason)
	case !d.Room.Known:
		f.warn("%s: PostgreSQL at %s: its room is unknown: %s", service, at, d.Room.Reason)
	case d.Room.Value <= 0:
		f.warn("%s: PostgreSQL at %s has no room: %s", service, at, d.Cause)
	default:
		f.fine("%s: PostgreSQL at %s: %.0f of %.0f connections are in use, a probe takes %v", service, at,
			d.Connections.Value, d.Limit.Value, time.Duration(d.Probe.Value*float64(time.Second)).Round(10*time.Microsecond))
	}
}
