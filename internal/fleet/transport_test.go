package fleet

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// Clients may be made without end, as by a provider, which can't close them.
func TestManyClientsHoldFewConnections(t *testing.T) {
	t.Parallel()
	const rounds, together = 25, 8
	server := fewConnections(t, together+idleMost)
	var all []*Client
	for range rounds {
		var g errgroup.Group
		for range together {
			cfg := quiet(t, server.Addr())
			cfg.Timeout = patient
			c := newClient(t, cfg)
			all = append(all, c)
			g.Go(func() error {
				if _, err := c.Members(t.Context(), "api"); err != nil {
					return err
				}
				return c.Agents()[0].Ask(t.Context(), self)
			})
		}
		ok(t, g.Wait())
		await(t, "few connections are kept", func() error { return connectionsAtMost(server, idleMost) })
	}
	for _, c := range all[1:] {
		c.Close()
		c.Close()
	}
	if open := must(server.Connections())(t); open == 0 {
		t.Error("the connections of a client that is used still were closed with others")
	}
	all[0].Close()
	await(t, "no connection is left", func() error { return connectionsAtMost(server, 0) })
}

func TestOnlyEqualsShareATransport(t *testing.T) {
	t.Parallel()
	authority := func(name string) *tls.Config {
		roots := x509.NewCertPool()
		roots.AddCert(&x509.Certificate{Raw: []byte(name), RawSubject: []byte(name)})
		return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	owner := func(name string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{[]byte(name)}}}, MinVersion: tls.VersionTLS12}
	}
	var p pool
	first := p.take("a:1", time.Second, authority("one"))
	if p.take("a:1", time.Second, authority("one")) != first {
		t.Error("equals have transports of their own")
	}
	others := map[string]*transport{
		"address":     p.take("a:2", time.Second, authority("one")),
		"limit":       p.take("a:1", time.Minute, authority("one")),
		"authority":   p.take("a:1", time.Second, authority("two")),
		"system's":    p.take("a:1", time.Second, &tls.Config{MinVersion: tls.VersionTLS12}),
		"certificate": p.take("a:1", time.Second, owner("one")),
		"renewed":     p.take("a:1", time.Second, owner("two")),
		"server name": p.take("a:1", time.Second, &tls.Config{ServerName: "b", MinVersion: tls.VersionTLS12}),
	}
	seen := map[*transport]string{first: "first"}
	for name, one := range others {
		if other, found := seen[one]; found {
			t.Errorf("%s and %s share a transport", name, other)
		}
		seen[one] = name
		p.giveBack(one)
	}
	p.giveBack(first)
	if len(p.all) != 1 {
		t.Errorf("%d transports are kept, want the one that is used", len(p.all))
	}
	p.giveBack(first)
	if len(p.all) != 0 {
		t.Errorf("%d transports are kept for nobody", len(p.all))
	}
}
