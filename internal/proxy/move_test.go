package proxy

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
)

// others are siblings, one of which has room, or none.
type others struct{ room string }

func (o *others) WithRoom(bool) (string, bool) { return o.room, o.room != "" }

// busy is an application that answers nobody until release is closed.
func busy(release chan bool) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
}

// crowded is a cell whose one place is taken, and the siblings that it has.
func crowded(t *testing.T, block string) (*rig, *others) {
	t.Helper()
	release, siblings := make(chan bool), &others{}
	r := start(t, onePlace+block, busy(release), func(c *Config) { c.Siblings = siblings })
	done := make(chan bool)
	go func() {
		defer close(done)
		res, err := r.client.Get(r.url + "/first")
		if err != nil {
			t.Error(err)
			return
		}
		_ = res.Body.Close()
	}()
	t.Cleanup(func() { close(release); <-done })
	until(t, "the place is taken", func() bool { return r.inHand() == 1 })
	return r, siblings
}

func TestRedirect(t *testing.T) {
	r, siblings := crowded(t, "")
	if got := r.do(t, "GET", "/a", ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("without a sibling: %+v", got)
	}
	if got := r.do(t, "GET", "/a", "", "Homeostat-Crawler", "1"); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("a crawler: %+v", got)
	}
	siblings.room = "http://192.0.2.1:80"
	for path, want := range map[string]string{
		"/":                   "/?homeostat-moved=1",
		"/?":                  "/?homeostat-moved=1",
		"/a%2Fb//c?x=1;2&y=%": "/a%2Fb//c?x=1;2&y=%&homeostat-moved=1",
		"//evil.example/x":    "//evil.example/x?homeostat-moved=1",
	} {
		for _, method := range []string{"GET", "POST"} {
			got := r.do(t, method, path, "")
			if got.status != 307 || got.header.Get("Location") != siblings.room+want {
				t.Errorf("%s %s: %d to %s, want %s", method, path, got.status, got.header.Get("Location"), want)
			}
		}
	}
	if got := r.raw(t, "GET http:.evil.example HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("no path at all: %s", got)
	}
	if got := r.do(t, "GET", "/?homeostat-moved=1", ""); got.status != 503 {
		t.Errorf("twice: %+v", got)
	}
	if n, offered := r.stats[Client].moved.Load(), r.Traffic().Offered; n != 8 || offered != 4 {
		t.Errorf("%d moved and %g offered here, want 8 and 4", n, offered)
	}
	if report := r.Report(); report.Crawlers || report.InFlight != 1 || report.Limit != 1 {
		t.Errorf("%+v", report)
	}
}

// The application sees nothing of the mark.
func TestMarkIsTakenOff(t *testing.T) {
	r := start(t, "", echo)
	for path, want := range map[string]string{
		"/?homeostat-moved=1":         "/",
		"/?a=1;2&homeostat-moved=1":   "/?a=1;2",
		"/?homeostat-moved=1&b=%":     "/?b=%",
		"/?x=homeostat-moved":         "/?x=homeostat-moved",
		"/homeostat-moved?":           "/homeostat-moved?",
		"/?homeostat-movedx=1":        "/?homeostat-movedx=1",
		"/?homeostat-moved&a&a=&=&&&": "/?a&a=&=&&&",
	} {
		got := r.do(t, "GET", path, "", movedHeader, "1")
		if saw, _, _ := strings.Cut(strings.TrimPrefix(got.header.Get("Saw"), "GET "), " "); saw != want || got.header.Get("Saw-"+movedHeader) != "" {
			t.Errorf("%s: the application saw %q, want %q", path, saw, want)
		}
	}
}

func TestRedirectByForwarding(t *testing.T) {
	sibling := start(t, "trusted = [\"127.0.0.0/8\"]", echo)
	r, siblings := crowded(t, "\nredirect = \"proxy\"")
	siblings.room = sibling.url
	got := r.do(t, "POST", "/a?b=c", "hello", "X-Forwarded-For", "192.0.2.1")
	if got.status != 201 || got.body != "hello" || got.header.Get("Saw") != "POST /a?b=c "+r.at ||
		got.header.Get("Saw-"+movedHeader) != "" || got.header.Get("Saw-X-Forwarded-For") != "127.0.0.1, 127.0.0.1" {
		t.Errorf("%+v", got)
	}
	siblings.room = r.url // a wrong one, which must not send it round in a circle
	if got := r.do(t, "GET", "/a", ""); got.status != 503 {
		t.Errorf("forwarded to itself: %+v", got)
	}
	siblings.room = "http://127.0.0.1:1"
	if got := r.do(t, "GET", "/a", ""); got.status != 503 || !strings.Contains(got.body, "a sibling with room") {
		t.Errorf("a sibling that is gone: %+v", got)
	}
	siblings.room = "not a URL"
	if got := r.do(t, "GET", "/a", ""); got.status != 503 {
		t.Errorf("no sibling at all: %+v", got)
	}
}

// Who came by the port for crawlers is a crawler at the sibling, too.
func TestMovedCrawlerStaysOne(t *testing.T) {
	for _, redirect := range []string{"307", "proxy"} {
		sibling := start(t, "", echo)
		r, siblings := crowded(t, "\nredirect = \""+redirect+"\"\ncrawlers { port = 9 }")
		siblings.room = sibling.url
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = r.Serve(l, Crawler) // it is closed below
		}()
		t.Cleanup(func() { _ = l.Close(); <-ended })
		res, err := http.Get("http://" + l.Addr().String() + "/pages?x=1") //nolint:noctx // of a test
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		clients, crawlers := sibling.stats[Client].offered.Load(), sibling.stats[Crawler].offered.Load()
		if res.StatusCode != http.StatusCreated || clients != 0 || crawlers != 1 {
			t.Errorf("%s: %s; at the sibling %d clients and %d crawlers", redirect, res.Status, clients, crawlers)
		}
		http.DefaultClient.CloseIdleConnections()
	}
}

// A refused request that comes again is one request.
func TestComesAgain(t *testing.T) {
	r, _ := crowded(t, "")
	for range 3 {
		r.do(t, "GET", "/", "", RequestHeader, "a")
	}
	r.do(t, "GET", "/", "", RequestHeader, "b")
	if s := &r.stats[Client]; s.offered.Load() != 3 || s.again.Load() != 2 || s.refused.Load() != 2 {
		t.Errorf("%d offered, %d again, %d refused, want 3, 2, 2", s.offered.Load(), s.again.Load(), s.refused.Load())
	}
	seen := newSeen(time.Minute)
	now := time.Now()
	seen.add("x", now)
	if seen.take("x", now.Add(time.Hour)) || seen.take("", now) || !seen.take("x", now) || seen.take("x", now) {
		t.Error("remembered for too long, for nobody, not at all, or twice")
	}
}

func TestDrain(t *testing.T) {
	siblings := &others{room: "http://192.0.2.1:80"}
	r := start(t, "", echo, func(c *Config) { c.Siblings = siblings })
	r.Drain(true)
	if got := r.do(t, "GET", "/", ""); got.status != 307 {
		t.Errorf("while it drains: %+v", got)
	}
	if report := r.Report(); !report.Hot || report.Crawlers {
		t.Errorf("%+v", report)
	}
	siblings.room = ""
	if got := r.do(t, "GET", "/", ""); got.status != 201 {
		t.Errorf("with nowhere to go: %+v", got)
	}
	r.Drain(false)
	siblings.room = "http://192.0.2.1:80"
	if got := r.do(t, "GET", "/", ""); got.status != 201 {
		t.Errorf("taken back: %+v", got)
	}
}

// What is in flight at the end may end; what doesn't is cut, and told of.
func TestShutdown(t *testing.T) {
	release := make(chan bool)
	r := start(t, "", busy(release))
	answered := make(chan int, 2)
	for range 2 {
		go func() {
			res, err := r.client.Get(r.url)
			if err != nil {
				answered <- 0
				return
			}
			_ = res.Body.Close()
			answered <- res.StatusCode
		}()
	}
	until(t, "they are in flight", func() bool { return r.inHand() == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.Shutdown(ctx); err == nil {
		t.Error("two requests were cut, and nothing is said")
	}
	for range 2 {
		if got := <-answered; got != 0 && got != 503 {
			t.Errorf("answered %d", got)
		}
	}
	until(t, "their places are free", r.Idle)
}

func TestAsksForLoad(t *testing.T) {
	r := start(t, "", echo)
	got := r.do(t, "GET", "/", "", load.Header, load.Ask)
	if report, err := load.Parse(got.header.Get(load.Header)); err != nil || report.Limit != 20 || report.Hot || !report.Crawlers {
		t.Errorf("%+v, %v", report, err)
	}
	if got.header.Get("Saw-"+load.Header) != "" {
		t.Error("the application is asked, too")
	}
	if got := r.do(t, "GET", "/", ""); got.header.Get(load.Header) != "" {
		t.Error("told unasked")
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r.Proxy)
	families, err := registry.Gather()
	if err != nil || len(families) != len(allDescs) {
		t.Errorf("%d metrics of %d, %v", len(families), len(allDescs), err)
	}
}

func TestClasses(t *testing.T) {
	r := start(t, `crawlers {
      header = "x-who"
      value  = "crawler"
      paths  = ["/pages", "/a/"]
    }`, echo)
	for path, want := range map[string]Class{
		"/": Client, "/pages": Crawler, "/pages/1": Crawler, "/pagesx": Client, "/x/../pages": Crawler, "//pages": Crawler,
		"/%70ages": Crawler, "/a": Crawler, "/a/b": Crawler, "/ab": Client, "/pages/../x": Client,
	} {
		before := r.stats[want].served.Load()
		r.do(t, "GET", path, "")
		if r.stats[want].served.Load() != before+1 {
			t.Errorf("%s is no %s", path, want)
		}
	}
	before := r.stats[Crawler].served.Load()
	r.do(t, "GET", "/", "", "X-Who", "crawler")
	r.do(t, "GET", "/", "", "X-Who", "somebody")
	if got := r.stats[Crawler].served.Load(); got != before+1 {
		t.Errorf("%d crawlers by their header, want 1", got-before)
	}
}

// issue makes a certificate, signed by another or by itself.
func issue(t *testing.T, name string, by *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), IsCA: by == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func write(t *testing.T, dir, name string, c tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, name + ".key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLS(t *testing.T) {
	dir, ca := t.TempDir(), issue(t, "ca.example", nil)
	write(t, dir, "ca", ca)
	write(t, dir, "api", issue(t, "api.example", &ca))
	r := start(t, `tls {
      cert_file      = "api.pem"
      key_file       = "api.key"
      client_ca_file = "ca.pem"
    }
    crawlers { certificates = ["crawler.example"] }`, echo, func(c *Config) { c.Dir = dir })
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	stranger := issue(t, "stranger.example", nil)
	for name, c := range map[string]struct {
		certificate *tls.Certificate
		want        Class
		refused     bool
	}{
		"nobody":   {want: Client},
		"crawler":  {certificate: new(issue(t, "crawler.example", &ca)), want: Crawler},
		"another":  {certificate: new(issue(t, "another.example", &ca)), want: Client},
		"stranger": {certificate: new(issue(t, "crawler.example", &stranger)), refused: true},
	} {
		cfg := &tls.Config{RootCAs: roots, ServerName: "api.example"}
		if c.certificate != nil {
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate, nil }
		}
		transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
		before := r.stats[c.want].served.Load()
		res, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("https://" + r.at)
		if (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = res.Body.Close()
			if res.ProtoMajor != 2 || res.Header.Get("Saw-X-Forwarded-Proto") != "https" || r.stats[c.want].served.Load() != before+1 {
				t.Errorf("%s: HTTP/%d, %v, want a %s", name, res.ProtoMajor, res.Header, c.want)
			}
		}
		transport.CloseIdleConnections()
	}
	if _, err := New(Config{Policy: parsed(t, "tls { \n cert_file = \"x\" \n key_file = \"y\" \n }"), Log: r.cfg.Log}); err == nil {
		t.Error("no certificate is no error")
	}
}

// A certificate that was renewed is used without a restart, and a broken one is not.
func TestCertificateIsReadAgain(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	first, second := issue(t, "first.example", nil), issue(t, "second.example", nil)
	write(t, dir, "api", first)
	c := &certificate{cert: filepath.Join(dir, "api.pem"), key: filepath.Join(dir, "api.key"), log: slog.New(slog.NewTextHandler(&log, nil))}
	look := func(want string) {
		t.Helper()
		got, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		if leaf := fmt.Sprint(got.Leaf.Subject.CommonName); leaf != want {
			t.Errorf("%s, want %s", leaf, want)
		}
		c.looked = time.Now().Add(-2 * again)
	}
	look("first.example")
	write(t, dir, "api", second)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(c.cert, later, later); err != nil {
		t.Fatal(err)
	}
	look("second.example")
	if log.Len() != 0 {
		t.Errorf("a good certificate is complained of: %s", &log)
	}
	if err := os.WriteFile(c.cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	look("second.example")
	if !strings.Contains(log.String(), "can't be used") {
		t.Error("nobody is told that the certificate can't be used")
	}
}

// A sibling behind TLS is forwarded to if its certificate is of the policy's authority.
func TestForwardsByTLS(t *testing.T) {
	dir, ca := t.TempDir(), issue(t, "ca.example", nil)
	write(t, dir, "ca", ca)
	write(t, dir, "api", issue(t, "api.example", &ca))
	block := "tls {\n cert_file = \"api.pem\"\n key_file = \"api.key\"\n server_name = \"api.example\"\n"
	sibling := start(t, block+"}", echo, func(c *Config) { c.Dir = dir })
	for authority, want := range map[string]int{"ca_file = \"ca.pem\"\n}": 201, "}": 503} {
		siblings := &others{room: "https://" + sibling.at}
		r := start(t, "redirect = \"proxy\"\n"+block+authority, echo, func(c *Config) { c.Dir, c.Siblings = dir, siblings })
		r.Drain(true)
		roots := x509.NewCertPool()
		roots.AddCert(ca.Leaf)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "api.example"}}
		res, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("https://" + r.at)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		transport.CloseIdleConnections()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", authority, res.Status, want)
		}
	}
}
