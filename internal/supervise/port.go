package supervise

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// FreePort returns a port of the loopback interface that nothing listens on:
// the one wanted, or, for 0, one that the system picks. Somebody else may take
// it before the application does, so it is looked at again before each start.
func FreePort(wanted int) (int, error) {
	return freePort("127.0.0.1", wanted)
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
