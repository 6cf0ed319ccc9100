package proxy

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
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

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // of the file that was loaded
	looked  time.Time
}

// newTLS returns nil where the policy has no TLS.
func newTLS(p *policy.ProxyTLS, dir string) (*tls.Config, error) {
	if p == nil {
		return nil, nil
	}
	c := &certificate{cert: within(dir, p.CertFile), key: within(dir, p.KeyFile)}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if p.ClientCAFile == "" {
		return cfg, nil
	}
	file := within(dir, p.ClientCAFile)
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the authorities of client certificates: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the authorities of client certificates: %s holds no certificate in PEM", file)
	}
	// Clients have none, crawlers may; one that is shown has to be good.
	cfg.ClientAuth = tls.VerifyClientCertIfGiven
	return cfg, nil
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
