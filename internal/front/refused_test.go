package front

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// A cell over its bound isn't the whole service: what it refuses is tried elsewhere.
func TestRefusedIsTriedElsewhere(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Sticky, f.RetryMin = policy.StickyOff, 1000 })
	refuses := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	free, full := h.add("api-1"), h.add("api-2")
	full.does(refuses)
	for range 20 {
		if answer, text := h.get("/"); answer.StatusCode != http.StatusOK || answer.Header.Get("Cell") != free.Name {
			t.Fatalf("%s from %q: %s", answer.Status, answer.Header.Get("Cell"), text)
		}
	}
	told := func(why string) float64 { return testutil.ToFloat64(h.front.metrics.retries.WithLabelValues(why)) }
	if n := full.hits.Load(); n == 0 || told("refused") != float64(n) || told("failed") != 0 {
		t.Errorf("%d were refused, and counted as %v refused, %v failed", n, told("refused"), told("failed"))
	}

	// What has a body may have been done in part.
	free.does(refuses)
	before := free.hits.Load() + full.hits.Load()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	if answer, _ := h.do(r); answer.StatusCode != http.StatusTooManyRequests || free.hits.Load()+full.hits.Load() != before+1 {
		t.Errorf("a body: %s after %d tries", answer.Status, free.hits.Load()+full.hits.Load()-before)
	}
	// Where all refuse, it is a cell that says so, and when to come again.
	before = free.hits.Load() + full.hits.Load()
	answer, _ := h.get("/")
	if answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") != "7" || free.hits.Load()+full.hits.Load() != before+2 {
		t.Errorf("all refuse: %s, %v after %d tries", answer.Status, answer.Header, free.hits.Load()+full.hits.Load()-before)
	}
}

// A cell that has room for everybody and answers 429 means this client.
func TestRefusedByTheApplication(t *testing.T) {
	for name, c := range map[string]struct {
		report load.Report
		tries  int64
	}{
		"room":        {load.Report{Limit: 10, Crawlers: true}, 1},
		"full":        {load.Report{InFlight: 10, Limit: 10, Crawlers: true}, 2},
		"no crawlers": {load.Report{Limit: 10}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Sticky, f.RetryMin = policy.StickyOff, 1000 })
			cells := []*served{h.add("api-1"), h.add("api-2")}
			for _, cell := range cells {
				cell.report.Store(&c.report)
				cell.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
			}
			if answer, _ := h.get("/"); answer.StatusCode != http.StatusTooManyRequests {
				t.Error(answer.Status)
			}
			if n := cells[0].hits.Load() + cells[1].hits.Load(); n != c.tries {
				t.Errorf("%d tries, want %d", n, c.tries)
			}
		})
	}
}
