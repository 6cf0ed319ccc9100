package bench

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/traffic"
)

// The columns of BenchmarkProxy.
const (
	p50    = "p50 ms"
	p99    = "p99 ms"
	cost   = "µs of its processor a request"
	most   = "requests/s, all it can"
	more   = "requests/s, at least"
	failed = "failed"
)

// BenchmarkProxy measures what it costs to stand before an application that answers
// at once: the latency at a rate of half of what the slowest of the programs can do,
// and how much each can do of what is asked too much of it.
func BenchmarkProxy(b *testing.B) {
	n := roundsOf(b)
	sides := []string{direct, homeostat, caddy, haproxy, nginx}
	var f figures
	rate := 0.0
	for _, name := range sides[1:] {
		if can := ceiling(b, &f, name); rate == 0 || can/2 < rate {
			rate = can / 2
		}
	}
	for round := range n {
		for i := range sides {
			name := sides[(i+round)%len(sides)]
			atHalf(b, &f, name, rate)
			if name != direct && round > 0 {
				ceiling(b, &f, name)
			}
		}
		b.Logf("round %d of %d, load %s", round+1, n, machineLoad())
	}
	b.Logf("half load is %.0f requests a second\n%s", rate, f.table())
	for _, name := range sides[2:] {
		if theirs := f.median(name, most); theirs > 0 {
			mine := max(f.median(homeostat, most), f.median(homeostat, more)) // it can do more than more
			b.ReportMetric(mine/theirs, "throughput/"+name)
		}
		b.ReportMetric(f.median(homeostat, cost)/f.median(name, cost), "cost/"+name)
		for _, column := range []string{p50, p99} {
			added := f.median(homeostat, column) - f.median(direct, column)
			b.ReportMetric(added/(f.median(name, column)-f.median(direct, column)), "added-"+column[:3]+"/"+name)
		}
	}
}

// plain is a plain proxy's task: the application answers at once.
var plain = task{SLO: time.Second}

// atHalf measures latency at the rate.
func atHalf(b *testing.B, f *figures, name string, rate float64) {
	b.Helper()
	s := stands(b, name, plain)
	defer s.close()
	m := load(b, s, traffic.Clients{
		For: 8 * time.Second, WarmUp: 2 * time.Second, Connections: 64, Seed: 1,
		Streams: []traffic.Stream{{Name: "clients", Rate: rate, Path: "/", Patience: 10 * time.Second}},
	})
	if m.busy > busyLimit {
		b.Fatalf("void: at %.0f requests a second generator and application had %.0f %% of their processor", rate, 100*m.busy)
	}
	o := m.outcomes[0]
	f.add(name, p50, ms(o.Quantile(0.5)))
	f.add(name, p99, ms(o.Quantile(0.99)))
	f.add(name, failed, float64(o.Due-o.Answered[200]))
	if name != direct {
		f.add(name, cost, float64(m.spent)/float64(time.Microsecond))
	}
}

// ceiling measures how much a program can do: the requests that it answers in a
// second when each of its connections sends the next one at once. Where generator and
// application take more than their share of their processor, it can do that and more.
func ceiling(b *testing.B, f *figures, name string) float64 {
	b.Helper()
	s := stands(b, name, plain)
	defer s.close()
	m := load(b, s, traffic.Clients{
		For: 4 * time.Second, WarmUp: time.Second, Connections: 64, Seed: 1, Closed: true,
		Streams: []traffic.Stream{{Name: "clients", Path: "/", Patience: 10 * time.Second}},
	})
	can := float64(m.outcomes[0].Answered[200]) / m.outcomes[0].Over.Seconds()
	column := most
	if m.busy > busyLimit {
		column = more
	}
	f.add(name, column, can)
	return can
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
