package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

func TestReachableDatabases(t *testing.T) {
	member := func(name, address string, health fleet.Health) fleet.Member {
		return fleet.Member{Cell: fleet.Cell{Name: name, Address: address, Port: 5432}, Health: health}
	}
	members := []fleet.Member{
		member("db-1", "127.0.0.1", fleet.Passing), member("db-2", "198.51.100.2", fleet.Warning), member("db-3", "127.0.0.1", fleet.Critical),
	}
	for name, c := range map[string]struct {
		postgres policy.Postgres
		members  []fleet.Member
		consul   error
		want     string // names of cells
		why      string
	}{
		"each at its own address":         {policy.Postgres{}, members, nil, "db-1 db-2", ""},
		"each at its own loopback":        {policy.Postgres{Host: "127.0.0.1"}, members, nil, "db-1", "1 database can't be reached from here"},
		"that port of its own loopback":   {policy.Postgres{Host: "localhost", Port: 5432}, members, nil, "db-1", "run validate -live there"},
		"one for all":                     {policy.Postgres{Host: "192.0.2.9", Port: 5432}, members, nil, "", ""},
		"one for all, and Consul is away": {policy.Postgres{Host: "192.0.2.9", Port: 5432}, nil, errors.New("away"), "", ""},
		"nobody yet":                      {policy.Postgres{}, members[2:], nil, "none", "no cell of the service takes work yet"},
		"Consul is away":                  {policy.Postgres{}, nil, errors.New("away"), "none", "Consul doesn't tell"},
	} {
		t.Run(name, func(t *testing.T) {
			cells, why := reachable(&c.postgres, c.members, c.consul)
			var names []string
			for _, cell := range cells {
				names = append(names, cell.Name)
			}
			if len(cells) == 0 {
				names = []string{"none"}
			}
			if got := strings.Join(names, " "); got != c.want || !strings.Contains(why, c.why) || (why == "") != (c.why == "") {
				t.Errorf("%q, %q", got, why)
			}
		})
	}
}
