package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/traffic"
)

// busyAPI is an application that works on 32 requests side by side, each for 20 ms
// on average, and clients who want their answer within 100 ms.
var busyAPI = task{Workers: 32, Work: 20 * time.Millisecond, SLO: 100 * time.Millisecond}

// BenchmarkOverload offers 0.5 to 3 times what an application can do, half of it by
// clients, half by crawlers, and counts the clients' answers that came in time, as a
// share of those there could be: clients offered, or all that the application can do
// where that is less.
func BenchmarkOverload(b *testing.B) {
	n := roundsOf(b)
	can := capacity(b)
	b.Logf("the application alone does %.0f requests a second", can)
	sides := []string{homeostat, haproxy, nginx, caddy}
	var f, crawlers figures
	times := []float64{0.5, 1, 1.5, 2, 3}
	for round := range n {
		for i := range sides {
			name := sides[(i+round)%len(sides)]
			for _, x := range times {
				overload(b, &f, &crawlers, name, x, can, uint64(round))
			}
		}
		b.Logf("round %d of %d, load %s", round+1, n, machineLoad())
	}
	b.Logf("clients' answers within %s, %% of those possible\n%s", busyAPI.SLO, f.table())
	b.Logf("crawlers' answers, %% of those offered\n%s", crawlers.table())
	for _, name := range sides {
		b.ReportMetric(f.median(name, offered(2)), name+"-%-at-2x")
	}
}

func offered(times float64) string { return fmt.Sprintf("%gx", times) }

// overload measures one program at one load.
func overload(b *testing.B, f, crawlers *figures, name string, times, can float64, seed uint64) {
	b.Helper()
	s := stands(b, name, busyAPI)
	defer s.close()
	m := load(b, s, traffic.Clients{
		For: 8 * time.Second, WarmUp: 4 * time.Second, Connections: 3000, Seed: seed,
		Streams: []traffic.Stream{
			{Name: "clients", Rate: times * can / 2, Path: "/", Patience: time.Second},
			{Name: "crawlers", Rate: times * can / 2, Path: "/", Patience: time.Second, Fields: []string{"X-Crawler: 1"}},
		},
	})
	if m.busy > busyLimit {
		b.Fatalf("void: before %s at %gx generator and application had %.0f %% of their processor", name, times, 100*m.busy)
	}
	clients, others := m.outcomes[0], m.outcomes[1]
	due := float64(clients.Due) / clients.Over.Seconds()
	f.add(name, offered(times), 100*clients.Within(busyAPI.SLO)/min(due, can))
	crawlers.add(name, offered(times), 100*float64(others.Answered[200])/float64(max(others.Due, 1)))
}

// capacity is how many requests a second the application alone answers when all its
// workers have always something to do.
func capacity(b *testing.B) float64 {
	b.Helper()
	s := stands(b, direct, busyAPI)
	defer s.close()
	m := load(b, s, traffic.Clients{
		For: 8 * time.Second, WarmUp: 2 * time.Second, Connections: 4 * busyAPI.Workers, Seed: 1, Closed: true,
		Streams: []traffic.Stream{{Name: "clients", Path: "/", Patience: 10 * time.Second}},
	})
	if m.busy > busyLimit {
		b.Fatalf("void: generator and application had %.0f %% of their processor", 100*m.busy)
	}
	return float64(m.outcomes[0].Answered[200]) / m.outcomes[0].Over.Seconds()
}
