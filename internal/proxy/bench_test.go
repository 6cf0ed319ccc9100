package proxy

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// BenchmarkProxy measures what a request costs here against the bare ReverseProxy of
// the standard library, on the same transport and server. Generator, proxy and
// application share the machine.
func BenchmarkProxy(b *testing.B) {
	text := strings.Repeat("x", 1024)
	application := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
	})
	app := httptest.NewServer(application)
	defer app.Close()
	target, err := url.Parse(app.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("direct", func(b *testing.B) { load1(b, app.URL) })
	b.Run("reverseproxy", func(b *testing.B) {
		transport := &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}
		defer transport.CloseIdleConnections()
		bare := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target); pr.SetXForwarded() }, Transport: transport,
			BufferPool: &bufferPool{},
		})
		defer bare.Close()
		load1(b, bare.URL)
	})
	b.Run("homeostat", func(b *testing.B) { load1(b, start(b, "", application).url) })
}

type bufferPool struct{}

func (*bufferPool) Get() []byte {
	piece, _ := pieces.Get().(*[32 << 10]byte)
	return piece[:]
}

func (*bufferPool) Put(b []byte) { pieces.Put((*[32 << 10]byte)(b)) }

// load1 sends requests over one raw connection per worker, so that the generator costs
// little.
func load1(b *testing.B, at string) {
	u, err := url.Parse(at)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", u.Host)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		request := []byte("GET /search?q=abc HTTP/1.1\r\nHost: api.example\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=b\r\n\r\n")
		buffer := make([]byte, 4096)
		for pb.Next() {
			if _, err := c.Write(request); err != nil {
				b.Error(err)
				return
			}
			for got := ""; !strings.HasSuffix(got, "xx"); {
				n, err := c.Read(buffer)
				if err != nil {
					b.Error(err)
					return
				}
				got = string(buffer[max(0, n-2):n])
			}
		}
	})
}
