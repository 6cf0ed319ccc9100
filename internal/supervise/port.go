package supervise

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
)

// FreePort returns a port of the loopback interface that nothing listens on: the
// one wanted, or, for 0, any. Somebody else may take it before the application
// does, so it is looked at again before each start.
func FreePort(wanted int) (int, error) {
	if wanted != 0 {
		return freePort("127.0.0.1", wanted)
	}
	first, last := outgoing()
	for range choices {
		if port, err := freePort("127.0.0.1", choose(first, last)); err == nil {
			return port, nil
		}
	}
	return freePort("127.0.0.1", 0)
}

const (
	// choices is how many ports are tried before the system picks one.
	choices = 20
	// lowestPort is where chosen ports begin, above most that are given out by name.
	lowestPort, highestPort = 32000, 65535
)

// choose picks a port that no outgoing connection gets by itself: the sidecar's own
// to Consul could otherwise have it just when the application is started, and keep
// it for as long as both live.
func choose(first, last int) int {
	below, above := max(0, first-lowestPort), max(0, highestPort-last)
	if below+above == 0 {
		return 0
	}
	n := rand.IntN(below + above)
	if n < below {
		return lowestPort + n
	}
	return last + 1 + n - below
}

// outgoing is the range that the system takes the ports of outgoing connections
// from, by its documentation where it doesn't say.
func outgoing() (first, last int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if _, scanned := fmt.Sscan(string(text), &first, &last); err != nil || scanned != nil {
		return 32768, 60999
	}
	return first, last
}

func freePort(host string, wanted int) (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(wanted)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return 0, fmt.Errorf("port %d is taken by another process", wanted)
	case errors.Is(err, syscall.EACCES):
		return 0, fmt.Errorf("port %d may not be used by this user", wanted)
	case err != nil:
		return 0, fmt.Errorf("look for a free port on %s: %w", host, err)
	}
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err = errors.Join(err, listener.Close()); err != nil {
		return 0, fmt.Errorf("give a port of %s back: %w", host, err)
	}
	return int(address.Port()), nil
}

// portTaken returns an error if somebody else listens where the application is
// to. An address that is not this machine's, as that of a port that is
// forwarded, can't be looked at.
func (a *Application) portTaken() error {
	if a.Port == 0 {
		return nil
	}
	if _, err := freePort(a.Host, a.Port); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return err
	}
	return nil
}
