package supervise

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestPortTaken(t *testing.T) {
	port, err := FreePort(0)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FreePort(port); err == nil || err.Error() != fmt.Sprintf("port %d is taken by another process", port) {
		t.Errorf("FreePort of a taken one: %v", err)
	}
	r := run(t, forever, Config{Port: port})
	s := r.until("the reason", func(s State) bool { return strings.Contains(s.Why, "taken") })
	if want := fmt.Sprintf("not started: port %d is taken by another process; starting it again in ", port); s.Running || !strings.HasPrefix(s.Why, want) {
		t.Errorf("state %+v", s)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if s := r.until("a start", func(s State) bool { return s.Running }); s.Restarts != 0 {
		t.Errorf("the first start counts as a restart: %+v", s)
	}
	r.end()
}

// What stands behind somebody else's address can't be known: 192.0.2.1 is for
// documentation, and nobody's.
func TestPortOfAForwardedAddress(t *testing.T) {
	r := run(t, forever, Config{Host: "192.0.2.1", Port: 8080})
	r.until("start", func(s State) bool { return s.Running })
	r.end()
}

func TestFreePort(t *testing.T) {
	port, err := FreePort(0)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := FreePort(port); err != nil || again != port {
		t.Errorf("the free port %d, asked for: %d, %v", port, again, err)
	}
}

// An outgoing connection keeps the port that it was given for as long as it lives,
// so an application gets none that it could have.
func TestChosenPorts(t *testing.T) {
	if first, last := outgoing(); first < 1024 || last <= first || last > highestPort {
		t.Errorf("ports of outgoing connections: %d to %d", first, last)
	}
	for range 2000 {
		if port := choose(32768, 60999); port < lowestPort || port > highestPort || port >= 32768 && port <= 60999 {
			t.Fatalf("chosen was %d", port)
		}
		if port := choose(1024, 65000); port <= 65000 || port > highestPort {
			t.Fatalf("chosen was %d", port)
		}
	}
	if port := choose(1024, 65535); port != 0 {
		t.Errorf("where all are outgoing: %d", port)
	}
}
