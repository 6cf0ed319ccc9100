package main

import (
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

func TestBirthsByWhatIsSaid(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := &births{began: at, all: map[string]*birth{}}
	said := func(key, value string) *api.KVPair { return &api.KVPair{Key: "homeostat/" + key, Value: []byte(value)} }
	b.heard(api.KVPairs{
		said("boot.tickets/1", `{"cell": "crawler-1", "contact": "c"}`),
		said("boot.tickets/2", `{"cell": "crawler-2"}`),
		said("boot.joins/1/hello/c", `{}`),
		said("boot.joins/1/progress/c", `{"report": {"steps": [{"step": "one", "at": "2026-01-01T00:00:20Z"}, {"step": "two", "at": "2026-01-01T00:00:30Z"}]}}`),
		said("boot.joins/2/progress/c", `not JSON`),
	})
	if all := b.done(); len(all) != 0 {
		t.Errorf("born: %v", all)
	}
	one := b.all["crawler-1"]
	if one == nil || one.booted.IsZero() || b.all["crawler-2"] != nil {
		t.Fatalf("heard of %v", b.all)
	}
	one.launched, one.booted, one.healthy = at.Add(10*time.Second), at.Add(18*time.Second), at.Add(31*time.Second)
	all := b.done()
	if len(all) != 1 || all[0].String() != "crawler-1: order=10.0 boot=8.0 install=12.0 healthy=1.0 in_all=31.0" {
		t.Errorf("births %v", all)
	}
	one.installed = time.Time{}
	if got := b.done()[0].String(); got != "crawler-1: order=10.0 boot=8.0 install=13.0 healthy=0.0 in_all=31.0" {
		t.Errorf("a birth that said nothing: %s", got)
	}
}
