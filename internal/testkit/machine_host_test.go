package testkit

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMachineHost(t *testing.T) {
	t.Parallel()
	well := func(context.Context) error { return nil }
	for _, c := range []struct {
		name string
		host machineHost
		want string
	}{
		{"another system", machineHost{"darwin", 0, well}, "and this is darwin"},
		{"not root", machineHost{"linux", 1000, well}, "need root"},
		{"a container that may not mount", machineHost{"linux", 0, func(context.Context) error { return errors.New("mount: permission denied") }}, "permission denied"},
		{"a host that can", machineHost{"linux", 0, well}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			switch err := c.host.check(t.Context()); {
			case err == nil && c.want != "", err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestMachineSubnets(t *testing.T) {
	t.Parallel()
	routes, err := routesIn([]byte(`[{"dst":"default","gateway":"192.168.1.1"},{"dst":"0.0.0.0/1"},{"dst":"10.0.0.0/8","dev":"tun0"},
		{"type":"local","dst":"198.18.7.1","table":"local"}]`))
	if err != nil {
		t.Fatal(err)
	}
	var free []netip.Prefix
	for _, subnet := range machineSubnets() {
		if !overlapsAny(subnet, routes) {
			free = append(free, subnet)
		}
	}
	if len(free) != 255 || slices.Contains(free, netip.MustParsePrefix("198.18.7.0/24")) {
		t.Errorf("%d networks are free: %v", len(free), free)
	}
	if _, err := routesIn([]byte(`[{"dst":"nowhere"}]`)); err == nil {
		t.Error("a route to nowhere is understood")
	}
}

// Who needs more than is free waits, those that come after wait for him, and each
// gets what he asked for.
func TestRoomForMachines(t *testing.T) {
	short(t)
	if err := MachinesPossible(t.Context()); err != nil {
		NotRun(t, t.Name(), err.Error())
	}
	ctx, kind := t.Context(), t.Name()
	first, err := takeRoom(ctx, kind, 3, 4)
	if err != nil || len(first) != 3 {
		t.Fatalf("room for 3 of 4: %d, %v", len(first), err)
	}
	if _, err := takeRoom(ctx, kind, 5, 4); err == nil {
		t.Error("there is room for 5 of 4")
	}
	soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := takeRoom(soon, kind, 2, 4); err == nil || !strings.Contains(err.Error(), "1 of 4 are free") {
		t.Errorf("room for 2 where 1 is free: %v", err)
	}
	got := make(chan error)
	go func() {
		second, err := takeRoom(ctx, kind, 4, 4)
		got <- errors.Join(err, giveBack(second))
	}()
	if err := giveBack(first); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}
