package testkit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"
)

// ConsulOptions says which Consul to start. The zero value is a server of its
// own in a directory of its own.
type ConsulOptions struct {
	Directory string        // "" : a temporary one
	Port      int           // HTTP port; 0: a free one
	Node      string        // node name; "": "testkit"
	Join      *ConsulServer // not nil: a client agent of that server
	Config    string        // more configuration, in HCL
	Also      string        // another address of this host to serve HTTP at
}

// ConsulServer is one Consul agent on loopback: a server with a data directory,
// whose registrations, keys and sessions survive Stop and Kill, or a client
// agent of such a server.
type ConsulServer struct {
	server
	node       string
	http, serf int
	join       *ConsulServer
}

// Consul starts a Consul server that ends with the test.
func Consul(tb testing.TB) *ConsulServer {
	tb.Helper()
	return ConsulWith(tb, ConsulOptions{})
}

// ConsulWith is Consul with options.
func ConsulWith(tb testing.TB, options ConsulOptions) *ConsulServer {
	tb.Helper()
	binary := needConsul(tb)
	c, err := startConsul(tb.Context(), binary, options)
	if err != nil {
		tb.Fatal(err)
	}
	c.endWith(tb)
	return c
}

var sharedConsul shared[*ConsulServer]

// SharedConsul returns the one Consul server of this test process. A test uses
// it under a prefix or service names of its own and never stops it.
func SharedConsul(tb testing.TB) *ConsulServer {
	tb.Helper()
	binary := needConsul(tb)
	c, err := sharedConsul.get(func(ctx context.Context) (*ConsulServer, error) {
		return startConsul(ctx, binary, ConsulOptions{})
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func needConsul(tb testing.TB) string {
	tb.Helper()
	binary, err := ConsulBinary(tb.Context())
	if err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	return binary
}

// StartConsul starts a Consul agent and returns when it is ready. The caller
// closes it.
func StartConsul(ctx context.Context, options ConsulOptions) (*ConsulServer, error) {
	binary, err := ConsulBinary(ctx)
	if err != nil {
		return nil, err
	}
	return startConsul(ctx, binary, options)
}

func startConsul(ctx context.Context, binary string, options ConsulOptions) (*ConsulServer, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	c := &ConsulServer{node: options.Node, http: options.Port, serf: ports[1], join: options.Join}
	if c.http == 0 {
		c.http = ports[0]
	}
	if c.node == "" {
		c.node = "testkit"
	}
	c.server = server{name: "consul", stopWith: syscall.SIGTERM, ports: ports, ready: c.isReady}
	if err := c.place(options.Directory); err != nil {
		return nil, err
	}
	c.data = filepath.Join(c.directory, "consul")
	c.program = func() program {
		return program{
			command:   append([]string{binary}, c.arguments(ports[2], options.Config, options.Also)...),
			directory: c.directory,
		}
	}
	if err := c.Start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *ConsulServer) arguments(rpc int, config, also string) []string {
	args := []string{
		"agent",
		"-node", c.node,
		"-data-dir", c.data,
		"-bind", "127.0.0.1", "-client", strings.TrimSpace("127.0.0.1 " + also),
		"-http-port", strconv.Itoa(c.http),
		"-serf-lan-port", strconv.Itoa(c.serf),
		"-server-port", strconv.Itoa(rpc),
		"-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1", "-serf-wan-port", "-1",
		"-log-level", "warn",
		"-disable-host-node-id",
		// The fastest elections there are, and an agent that is told to end
		// stays a member: it comes back.
		"-hcl", "performance { raft_multiplier = 1 }",
		"-hcl", "leave_on_terminate = false\nskip_leave_on_interrupt = true\ndisable_update_check = true",
		// A whole fleet has one address here. A test can ask for fewer.
		"-hcl", "limits { http_max_conns_per_client = 2000 }",
	}
	if c.join == nil {
		args = append(args, "-server", "-bootstrap-expect", "1")
	} else {
		args = append(args, "-retry-join", loopback(c.join.serf), "-retry-interval", "1s")
	}
	if config != "" {
		args = append(args, "-hcl", config)
	}
	return args
}

// Addr is the address of the HTTP API, host:port.
func (c *ConsulServer) Addr() string { return loopback(c.http) }

// URL is the address of the HTTP API with its scheme.
func (c *ConsulServer) URL() string { return "http://" + c.Addr() }

// Node is the name of the agent's node in Consul's catalog.
func (c *ConsulServer) Node() string { return c.node }

// Client returns an API client for the agent that keeps no connections open.
// The caller's environment (CONSUL_HTTP_ADDR and the like) has no say in it.
func (c *ConsulServer) Client() (*api.Client, error) {
	client, err := api.NewClient(&api.Config{
		Address:   c.Addr(),
		Scheme:    "http",
		Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		return nil, fmt.Errorf("make a client for consul at %s: %w", c.Addr(), err)
	}
	return client, nil
}

// isReady reports nil once there is a leader that has taken office (only then
// does a consistent read succeed) and the agent's own node is alive in the
// catalog (only then can sessions be made).
func (c *ConsulServer) isReady(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	options := (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
	checks, _, err := client.Health().Node(c.node, options)
	if err != nil {
		return err
	}
	for _, check := range checks {
		if check.CheckID == "serfHealth" && check.Status == api.HealthPassing {
			return nil
		}
	}
	return fmt.Errorf("node %q is not yet alive in consul's catalog", c.node)
}
