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
// where that is less. Overload comes to a cell that has been there for a while: each
// program has as much as the application can do for some seconds, and then each load in
// turn.
func BenchmarkOverload(b *testing.B) {
	n := roundsOf(b)
	can := capacity(b)
	b.Logf("the application alone does %.0f requests a second", can)
	sides := []string{homeostat, haproxy, nginx, caddy}
	var f, crawlers figures
	times := []float64{0.5, 1, 1.5, 2, 3}
	for round := range n {
		for i := range sides {
			overloads(b, &f, &crawlers, sides[(i+round)%len(sides)], times, can, uint64(round))
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

// overloads measures one program at several loads, one after another.
func overloads(b *testing.B, f, crawlers *figures, name string, times []float64, can float64, seed uint64) {
	b.Helper()
	s := stands(b, name, busyAPI)
	defer s.close()
	offer(b, s, 1, can, traffic.Clients{For: 15 * time.Second, Seed: seed})
	for _, x := range times {
		m := offer(b, s, x, can, traffic.Clients{For: 8 * time.Second, WarmUp: 2 * time.Second, Seed: seed})
		clients, others := m.outcomes[0], m.outcomes[1]
		due := float64(clients.Due) / clients.Over.Seconds()
		f.add(name, offered(x), 100*clients.Within(busyAPI.SLO)/min(due, can))
		crawlers.add(name, offered(x), 100*float64(others.Answered[200])/float64(max(others.Due, 1)))
	}
}

// offer sends so many times what the application can do.
func offer(b *testing.B, s *stand, times, can float64, c traffic.Clients) measured {
	b.Helper()
	c.Connections = 3000
	c.Streams = []traffic.Stream{
		{Name: "clients", Rate: times * can / 2, Path: "/", Patience: time.Second},
		{Name: "crawlers", Rate: times * can / 2, Path: "/", Patience: time.Second, Fields: []string{"X-Crawler: 1"}},
	}
	m := load(b, s, c)
	if m.busy > busyLimit {
		b.Fatalf("void: at %gx generator and application had %.0f %% of their processor", times, 100*m.busy)
	}
	return m
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
