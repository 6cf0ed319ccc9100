package main

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

func TestLineage(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	births := []fleet.Birth{
		{Cell: "api-1", Incarnation: "a", BornAt: ago(300)},
		{Cell: "api-2", Incarnation: "b", Parent: "api-1", Generation: 1, Reason: "load", BornAt: ago(200)},
		{Cell: "api-3", Incarnation: "c", Parent: "api-1", Generation: 1, Reason: "load", BornAt: ago(100)},
		{Cell: "api-1", Incarnation: "d", Parent: "api-2", Generation: 2, Reason: "api-1: silent", BornAt: ago(90)},
		{Cell: "api-4", Incarnation: "e", Parent: "api-1", Generation: 3, Reason: "renewed", BornAt: ago(80), Genome: strings.Repeat("ab", 32)},
		{Cell: "api-9", Incarnation: "f", Parent: "api-8", Generation: 7, Reason: "load", BornAt: ago(60)},
	}
	members := []fleet.Member{
		{Cell: fleet.Cell{Name: "api-4", Incarnation: "e"}, Health: fleet.Passing},
		{Cell: fleet.Cell{Name: "api-9", Incarnation: "f"}, Health: fleet.Warning},
	}
	var b strings.Builder
	lineage := newTree(births, members, now)
	lineage.partners = map[string]string{"api-9.f": "db-2"}
	lineage.write(&b, "api")
	want := `api: 6 births remembered, 2 cells alive
  ├─ api-1, generation 0, born 5h0m ago, gone: a person applied
  │  ├─ api-2, generation 1, born 3h20m ago, gone: load
  │  │  └─ api-1, generation 2, born 1h30m ago, gone: api-1: silent
  │  │     └─ api-4, generation 3, born 1h20m ago, genome abababababab, passing: renewed
  │  └─ api-3, generation 1, born 1h40m ago, gone: load
  └─ api-9, generation 7, born 1h0m ago, paired with db-2, warning: by api-8, of which no earlier birth is remembered: load
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
