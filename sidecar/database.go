package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// database is what looks at the database that the cell is; nil where the policy
// doesn't say that it is one.
func database(s *policy.Service, identity fleet.Cell) (*sense.Postgres, error) {
	p := s.Postgres
	if p == nil {
		return nil, nil
	}
	host, port := databaseAt(p, identity)
	if port == 0 {
		return nil, fmt.Errorf("the policy says that %s is a PostgreSQL, but the cell has no port: write port in its block postgres, or give the cell one", s.Name)
	}
	cfg := sense.PostgresConfig{
		Host: host, Port: port, Database: p.Database, User: p.User,
		SSLMode: p.SSLMode, CAFile: p.CAFile, Timeout: p.Timeout, Fresh: p.Fresh,
		Bounds: sense.DatabaseBounds{Share: p.ConnectionsUpper, Probe: p.ProbeUpper},
	}
	if p.PasswordEnv != "" || p.PasswordFile != "" {
		cfg.Password = func() (string, error) { return secret(p.PasswordEnv, p.PasswordFile) }
	}
	return sense.NewPostgres(cfg)
}

// databaseAt is where the sidecar of a cell reaches its database.
func databaseAt(p *policy.Postgres, identity fleet.Cell) (host string, port int) {
	return cmp.Or(p.Host, identity.Address), cmp.Or(p.Port, identity.Port)
}

// closeDatabase lets go of the connection to the cell's database.
func (n *node) closeDatabase(ctx context.Context) {
	if n.database == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := n.database.Close(ctx); err != nil {
		n.leading.log.Debug("the connection to the database was cut", "error", err)
	}
}
