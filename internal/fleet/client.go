// Package fleet is Homeostat's view of Consul: who is alive, who leads, and
// what is true of a service.
//
// It holds three things apart. Cells register themselves through an agent and
// push their own health to a TTL check. A leader stands for the lock of a
// service with a session, and every write it makes is one transaction that
// checks the session still holds that lock, so a leader that was frozen, cut
// off or deposed can write nothing. And a few keys beside the record, such as
// pin and pause, are a person's or the provider's and need no lock.
//
// Nothing is decided here, and no measurement travels through here: vitals go
// over HTTP between sidecars, Consul carries status. An answer that Consul
// doesn't give is always an error and never an empty one.
//
// The lock follows Consul's leader election guide, with two differences: the
// session is bound to its TTL alone and not to the health of a node, and what
// fences a write is a transaction with check-session and cas rather than a
// read, a test and a write. The rising epoch is the fencing token of Martin
// Kleppmann's "How to do distributed locking".
package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Defaults of Config, where a field is left zero.
const (
	DefaultPrefix     = "homeostat"
	DefaultTimeout    = 5 * time.Second
	DefaultSessionTTL = 10 * time.Second // the least that Consul takes
	DefaultLockDelay  = time.Second
)

// watchTime is how long a blocking query waits for a change. It is also how long
// a watch may sleep through the loss of Consul's data, when indexes begin anew
// below the one it waits from.
const watchTime = 15 * time.Second

// Config says how to reach Consul. Fields left zero take the defaults above,
// or, as with every Consul client, the environment (CONSUL_HTTP_ADDR,
// CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_CACERT and so on).
type Config struct {
	// Addresses are agents or servers, "host:port" or with "http://" or
	// "https://" before it. The first that answers is used and kept; on a
	// failure the next takes over.
	Addresses  []string
	Scheme     string
	Datacenter string
	// Token is an ACL token. It wins over TokenFile and the environment.
	Token     string
	TokenFile string
	// CAFile, CertFile and KeyFile are PEM files for https.
	CAFile, CertFile, KeyFile string
	// Prefix is the folder in Consul's KV that everything is kept under.
	Prefix string
	// Timeout bounds one request to one address.
	Timeout time.Duration
	// SessionTTL is how long a leader may go without proof of its lock. Consul
	// expires a session between one and two of these after its last renewal.
	SessionTTL time.Duration
	// LockDelay is how long Consul keeps a lock shut after its holder's session
	// was lost.
	LockDelay time.Duration
	// Peers signs leave orders and what is answered to them, and then none is
	// taken that isn't signed; nil where there is no key.
	Peers Signer
	// Log takes what happens in the background; nil discards it.
	Log *slog.Logger
	// Now is the clock for what is written down, such as when a lock was taken;
	// nil is time.Now. What is waited for goes by the process's own clock.
	Now func() time.Time
}

// Client reaches Consul. It is safe for use by several goroutines.
type Client struct {
	cfg       Config
	log       *slog.Logger
	endpoints []endpoint
	// anywhere is for what any server answers alike, home for what only the
	// agent that holds a registration can: one bad answer from a server must not
	// move a cell's registration to another agent.
	anywhere, home turn

	mu     sync.Mutex
	strays map[string]stray
	closed bool
}

// endpoint is one address and the client for it.
type endpoint struct {
	address string
	api     *api.Client
	http    *transport
}

// New checks the configuration and makes a client. It doesn't reach for Consul.
// Clients of one process share their connections to an address.
func New(cfg Config) (*Client, error) {
	cfg.Prefix = strings.Trim(cmp.Or(cfg.Prefix, DefaultPrefix), "/")
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	cfg.SessionTTL = cmp.Or(cfg.SessionTTL, DefaultSessionTTL)
	cfg.LockDelay = cmp.Or(cfg.LockDelay, DefaultLockDelay)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, log: cfg.Log, strays: map[string]stray{}}
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = []string{api.DefaultConfig().Address}
	}
	for _, address := range cfg.Addresses {
		e, err := cfg.endpoint(address)
		if err != nil {
			c.Close()
			return nil, fmt.Errorf("use Consul at %q: %w", address, err)
		}
		c.endpoints = append(c.endpoints, e)
	}
	return c, nil
}

// Close closes idle connections that no other client shares. Leases are to be
// released before. It may be called again.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	for _, e := range c.endpoints {
		transports.giveBack(e.http)
	}
}

// Addresses returns the addresses the client knows, for messages.
func (c *Client) Addresses() []string {
	var all []string
	for _, e := range c.endpoints {
		all = append(all, e.address)
	}
	return all
}

// check finds what no server could make good.
func (cfg Config) check() error {
	switch {
	case !validKey(cfg.Prefix):
		return fmt.Errorf("prefix %q: use letters, digits, '-', '_', '.' and '/'", cfg.Prefix)
	case cfg.Timeout < 0 || cfg.SessionTTL < 0 || cfg.LockDelay < 0:
		return errors.New("timeout, session TTL and lock delay must be positive")
	case cfg.Scheme != "" && cfg.Scheme != "http" && cfg.Scheme != "https":
		return fmt.Errorf("scheme %q: use http or https", cfg.Scheme)
	case (cfg.CertFile == "") != (cfg.KeyFile == ""):
		return errors.New("a client certificate needs both a certificate and a key file")
	}
	for _, address := range cfg.Addresses {
		if address == "" || strings.HasPrefix(address, "unix://") {
			return fmt.Errorf("consul address %q: use host:port, with http:// or https:// before it if need be", address)
		}
	}
	return nil
}

// endpoint makes the client for one address, with limits on what may hang.
func (cfg Config) endpoint(address string) (endpoint, error) {
	conf := api.DefaultConfig()
	conf.Address = address
	conf.Scheme = cmp.Or(cfg.Scheme, conf.Scheme)
	conf.Datacenter = cmp.Or(cfg.Datacenter, conf.Datacenter)
	conf.TLSConfig.CAFile = cmp.Or(cfg.CAFile, conf.TLSConfig.CAFile)
	conf.TLSConfig.CertFile = cmp.Or(cfg.CertFile, conf.TLSConfig.CertFile)
	conf.TLSConfig.KeyFile = cmp.Or(cfg.KeyFile, conf.TLSConfig.KeyFile)
	if cfg.Token != "" {
		conf.Token, conf.TokenFile = cfg.Token, ""
	} else if cfg.TokenFile != "" {
		conf.TokenFile = cfg.TokenFile
	}
	secure, err := api.SetupTLSConfig(&conf.TLSConfig)
	if err != nil {
		return endpoint{}, err
	}
	transport := transports.take(address, cfg.Timeout, secure)
	conf.HttpClient = &http.Client{Transport: statusTransport{transport}}
	client, err := api.NewClient(conf)
	if err != nil {
		transports.giveBack(transport)
		return endpoint{}, err
	}
	return endpoint{address: address, api: client, http: transport}, nil
}
