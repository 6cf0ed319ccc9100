package proxy

import (
	"log/slog"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/callers"
)

// upgrade has the application answer a request for another protocol, such as
// WebSocket. Once it has agreed, the connection is no request any more: it gives its
// place back, and lives until either side ends it.
func (x *exchange) upgrade(w http.ResponseWriter, r *http.Request) {
	p, failed, agreed, needed := x.p, false, false, time.Duration(0)
	defer func() { // a caller that is gone panics
		if agreed {
			p.upgraded.Add(-1)
		}
	}()
	p.upgradeTo(w, r, "http", p.cfg.Application, func(res *http.Response) {
		needed = x.answered(nil, res.StatusCode)
		if res.StatusCode == http.StatusSwitchingProtocols {
			x.leave(needed)
			p.upgraded.Add(1)
			agreed = true
		}
	}, func(err error) {
		failed = true
		x.fail(w, r, err, nil)
	})
	if !failed {
		p.stats[x.class].served.Add(1)
		x.leave(needed)
	}
}

// upgradeTo passes a request for another protocol on, and then what is said in it.
func (p *Proxy) upgradeTo(w http.ResponseWriter, r *http.Request, scheme, host string, answered func(*http.Response), failed func(error)) {
	query := r.URL.RawQuery
	proxy := httputil.ReverseProxy{
		Transport: p.transport,
		ErrorLog:  slog.NewLogLogger(p.cfg.Log.Handler(), slog.LevelDebug),
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host, pr.Out.URL.RawQuery = scheme, host, query
			callers.ForwardByReverseProxy(pr, p.trusted)
		},
		ModifyResponse: func(res *http.Response) error {
			if answered != nil {
				answered(res)
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed(err) },
	}
	proxy.ServeHTTP(w, r)
}
