package testkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"
)

// What there is only once on a host, networks and room for machines, is taken by
// a name. A name is a Unix socket without a file, which the kernel frees when its
// process ends in whatever way, and which is known as far as networks are: in one
// network namespace.
func take(name string) (net.Listener, error) {
	return net.Listen("unix", "@homeostat-testkit/"+name)
}

// giveBack frees names.
func giveBack(names []net.Listener) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, name.Close())
	}
	return errors.Join(errs...)
}

// MachinesVariable is the environment variable that says how many machines this
// host may hold at a time, all test processes taken together.
const MachinesVariable = "HOMEOSTAT_MACHINES"

// mostMachines is, unless the environment says otherwise, what a host's
// processors can boot at once without the tests' limits being felt.
func mostMachines() (int, error) {
	text := os.Getenv(MachinesVariable)
	if text == "" {
		return 8 * runtime.NumCPU(), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("read %s: %q is not a number of machines", MachinesVariable, text)
	}
	return n, nil
}

// roomLimit is how long a test waits until others have ended their machines.
const roomLimit = 20 * time.Minute

// takeRoom waits until this host, which may hold most machines, has room for n
// more. One waits at a time, so that many small tests don't keep a large one
// waiting for ever, and two that have half of what they need don't wait for each
// other. The kind is what the places are called.
func takeRoom(ctx context.Context, kind string, n, most int) ([]net.Listener, error) {
	if n > most {
		return nil, fmt.Errorf("make room for %d machines: this host may hold %d (%s)", n, most, MachinesVariable)
	}
	var turn net.Listener
	var room []net.Listener
	err := Poll(ctx, roomLimit, func(context.Context) error {
		if turn == nil {
			got, err := take(kind + " turn")
			if err != nil {
				return fmt.Errorf("wait for the turn to make room for machines: %w", err)
			}
			turn = got
		}
		for k := 0; k < most && len(room) < n; k++ {
			if place, err := take(kind + " " + strconv.Itoa(k)); err == nil {
				room = append(room, place)
			}
		}
		if len(room) < n {
			return fmt.Errorf("wait for room for %d machines: %d of %d are free", n, len(room), most)
		}
		return nil
	})
	if turn != nil {
		err = errors.Join(err, turn.Close())
	}
	if err != nil {
		return nil, errors.Join(err, giveBack(room))
	}
	return room, nil
}

// machineSubnets are the networks machines may be in: private ones, and, for
// hosts that have all private addresses behind a tunnel, those kept for measuring.
func machineSubnets() []netip.Prefix {
	var all []netip.Prefix
	for _, base := range [][2]byte{{10, 213}, {198, 18}} {
		for _, n := range rand.Perm(256) {
			all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{base[0], base[1], byte(n), 0}), 24))
		}
	}
	return all
}

// takeSubnet takes a network that no test has and that this host knows no way to.
// The way is asked for when the network is taken: one whose process was just
// killed is still there.
func takeSubnet(ctx context.Context) (netip.Prefix, net.Listener, error) {
	for _, subnet := range machineSubnets() {
		name, err := take(subnet.String())
		if err != nil {
			continue // another process's
		}
		routes, err := hostRoutes(ctx)
		if err != nil {
			return netip.Prefix{}, nil, errors.Join(err, name.Close())
		}
		if !overlapsAny(subnet, routes) {
			return subnet, name, nil
		}
		if err := name.Close(); err != nil {
			return netip.Prefix{}, nil, err
		}
	}
	return netip.Prefix{}, nil, errors.New("find a network for machines: every one is taken or lies behind a route of this host")
}

func overlapsAny(subnet netip.Prefix, routes []netip.Prefix) bool {
	for _, route := range routes {
		if route.Overlaps(subnet) {
			return true
		}
	}
	return false
}

// hostRoutes are the networks that this host knows a way to.
func hostRoutes(ctx context.Context) ([]netip.Prefix, error) {
	out, err := exec.CommandContext(ctx, "ip", "-4", "-json", "route", "show", "table", "all").Output()
	if err != nil {
		return nil, fmt.Errorf("list the routes of this host: %w", err)
	}
	return routesIn(out)
}

// routesIn reads what ip says. Those to everywhere, whole or by halves, say
// nothing of a network and are left out.
func routesIn(out []byte) ([]netip.Prefix, error) {
	var listed []struct{ Dst string }
	if err := json.Unmarshal(out, &listed); err != nil {
		return nil, fmt.Errorf("read the routes of this host: %w", err)
	}
	var routes []netip.Prefix
	for _, route := range listed {
		if route.Dst == "default" {
			continue
		}
		prefix, err := netip.ParsePrefix(route.Dst)
		if err != nil {
			address, addressErr := netip.ParseAddr(route.Dst)
			if addressErr != nil {
				return nil, fmt.Errorf("read the routes of this host: %w", err)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if prefix.Bits() > 1 {
			routes = append(routes, prefix)
		}
	}
	return routes, nil
}
