package testkit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
)

// Ports are handed out from below the range the kernel takes the ports of
// outgoing connections from (32768 and up on Linux): a server that is down for
// a moment finds its port free when it starts again. They come in blocks. A
// process holds a block by listening on its first port, so that the parallel
// test processes of one machine never hand out the same port, and a block is
// free again when its process ends in whatever way.
const (
	firstPort = 10_000
	lastPort  = 31_999
	blockSize = 40
)

var ports struct {
	sync.Mutex
	blocks []net.Listener
	free   []int
}

// FreePort returns a TCP port on loopback that no other server of any testkit
// has. It is this process's until it ends.
func FreePort(tb testing.TB) int {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// StartPort is FreePort without a test.
func StartPort() (int, error) { return freePort() }

// freePorts returns n free ports.
func freePorts(n int) ([]int, error) {
	var got []int
	for range n {
		port, err := freePort()
		if err != nil {
			returnPorts(got)
			return nil, err
		}
		got = append(got, port)
	}
	return got, nil
}

// returnPorts gives the ports of a server that is gone for good back. They are
// handed out again last, so that nobody who still knows one meets a stranger.
func returnPorts(list []int) {
	ports.Lock()
	defer ports.Unlock()
	ports.free = append(ports.free, list...)
}

func freePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	for {
		for i, port := range ports.free {
			if isFree(port) {
				ports.free = slices.Delete(ports.free, i, i+1)
				return port, nil
			}
		}
		if err := takeBlock(); err != nil {
			return 0, err
		}
	}
}

// takeBlock adds the ports of a block that no other process holds.
func takeBlock() error {
	blocks := (lastPort - firstPort + 1) / blockSize
	for _, n := range rand.Perm(blocks) {
		first := firstPort + n*blockSize
		l, err := net.Listen("tcp", loopback(first))
		if err != nil {
			continue
		}
		ports.blocks = append(ports.blocks, l)
		for port := first + 1; port < first+blockSize; port++ {
			ports.free = append(ports.free, port)
		}
		return nil
	}
	return errors.New("find a free port: every block of ports is taken")
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
