package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parsed is the policy of a proxy block, with its defaults.
func parsed(t testing.TB, block string) *policy.Proxy {
	t.Helper()
	p, diags := policy.Parse("test.hcl", []byte(`
consul { address = "127.0.0.1:8500" }
service "api" {
  min = 1
  max = 2
  terraform { dir = "api" }
  proxy {
    slow_start = "0s"
`+block+`
  }
}`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p.Service("api").Proxy
}

// rig is a proxy on a listener of its own, before an application.
type rig struct {
	*Proxy
	url    string
	at     string // host:port
	client *http.Client
}

// start runs a proxy before what application answers, until the test ends.
func start(t testing.TB, block string, application http.Handler, change ...func(*Config)) *rig {
	t.Helper()
	app := httptest.NewServer(application)
	t.Cleanup(app.Close)
	return startBefore(t, block, app.Listener.Addr().String(), change...)
}

func startBefore(t testing.TB, block, application string, change ...func(*Config)) *rig {
	t.Helper()
	cfg := Config{Policy: parsed(t, block), Application: application, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(l, Client) }()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	r := &rig{Proxy: p, at: l.Addr().String(), url: "http://" + l.Addr().String(), client: &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

// answer is what came of a request.
type answer struct {
	status int
	body   string
	header http.Header
}

func (r *rig) do(t testing.TB, method, path, body string, header ...string) answer {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, string(got), res.Header}
}

// until waits for a condition of a proxy, for as long as a loaded machine may need.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain until ", what)
		}
	}
}
