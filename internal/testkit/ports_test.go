package testkit

import (
	"net"
	"testing"
)

func TestPortsAreFreeAndHandedOutOnce(t *testing.T) {
	seen := make(map[int]bool)
	for range 2 * blockSize {
		port := FreePort(t)
		if seen[port] {
			t.Fatalf("port %d was handed out twice", port)
		}
		seen[port] = true
		if port < firstPort || port > lastPort {
			t.Errorf("port %d is not below the ports of outgoing connections", port)
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			t.Fatalf("port %d is not free: %v", port, err)
		}
		l.Close()
	}
}

func TestPortsInUseAreNotHandedOutAgain(t *testing.T) {
	port := FreePort(t)
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	returnPorts([]int{port})
	for range blockSize {
		if FreePort(t) == port {
			t.Fatalf("port %d was handed out while something listens on it", port)
		}
	}
}
