package testkit

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Connections counts the connections that stand open to the agent's HTTP API
// from programs in this process's network, this process included.
func (c *ConsulServer) Connections() (int, error) {
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		return 0, fmt.Errorf("count connections to consul at %s: %w", c.Addr(), err)
	}
	// Its lines are "sl local_address rem_address st ...", in hex; see proc(5).
	const established = "01"
	open := 0
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != established {
			continue
		}
		_, port, _ := strings.Cut(fields[2], ":")
		if n, err := strconv.ParseUint(port, 16, 16); err == nil && int(n) == c.http {
			open++
		}
	}
	return open, nil
}
