package proxy

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// again is how often the certificate's files are looked at, when somebody connects.
const again = time.Minute

// certificate is read anew when its file has changed, as it does before it expires.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // of the file that was loaded
	looked  time.Time
}

// newTLS returns nil where the policy has no TLS.
func newTLS(p *policy.ProxyTLS, dir string, log *slog.Logger) (*tls.Config, error) {
	if p == nil {
		return nil, nil
	}
	c := &certificate{cert: within(dir, p.CertFile), key: within(dir, p.KeyFile), log: log}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if p.ClientCAFile == "" {
		return cfg, nil
	}
	authorities, err := authorities(within(dir, p.ClientCAFile))
	if err != nil {
		return nil, fmt.Errorf("read the authorities of client certificates: %w", err)
	}
	// Clients have none, crawlers may; one that is shown has to be good.
	cfg.ClientCAs, cfg.ClientAuth = authorities, tls.VerifyClientCertIfGiven
	return cfg, nil
}

// TLSToCells is how a front or a sibling speaks to cells whose proxy is told p; nil
// where that is nil. Dir is where the policy lies.
func TLSToCells(p *policy.ProxyTLS, dir string) (*tls.Config, error) {
	if p == nil {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: p.ServerName}
	if p.CAFile == "" {
		return cfg, nil
	}
	var err error
	if cfg.RootCAs, err = authorities(within(dir, p.CAFile)); err != nil {
		return nil, fmt.Errorf("read the authorities of the cells' certificates: %w", err)
	}
	return cfg, nil
}

func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}

func within(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(cmp.Or(dir, "."), file)
}

// get implements tls.Config's GetCertificate. While a changed file can't be used, the
// certificate of before is.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.loaded != nil && now.Sub(c.looked) < again {
		return c.loaded, nil
	}
	c.looked = now
	err := c.load()
	if c.loaded == nil {
		return nil, fmt.Errorf("read the proxy's certificate: %w", err)
	}
	if err != nil {
		c.log.Warn("the proxy's changed certificate can't be used, the one of before still is", "file", c.cert, "error", err)
	}
	return c.loaded, nil
}

func (c *certificate) load() error {
	info, err := os.Stat(c.cert)
	if err != nil || info.ModTime().Equal(c.changed) {
		return err
	}
	loaded, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.loaded, c.changed = &loaded, info.ModTime()
	return nil
}
