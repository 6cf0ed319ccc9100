package bench

import (
	"flag"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// rounds is how often a benchmark measures. Each starts real programs, so it is a
// number of its own rather than -benchtime.
var rounds = flag.Int("rounds", 5, "how many rounds a benchmark measures; the sides take turns in each")

func roundsOf(b *testing.B) int {
	b.Helper()
	if *rounds < 1 {
		b.Fatalf("-rounds %d: there is no median of no round", *rounds)
	}
	b.ReportMetric(0, "ns/op") // the time of one iteration says nothing here
	return *rounds
}
