package simulate_test

import (
	"flag"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/simulate/trace"
)

var (
	planTakes = flag.Duration("plan-takes", 5*time.Second, "how long a plan takes")
	planCPU   = flag.Duration("plan-cpu", time.Second, "what a plan costs in processor time")
	nasa      = flag.String("nasa", "", "the file of NASA-HTTP's requests by ten seconds, which the repository doesn't hold")
)

// ahead is the policy's default.
func ahead() simulate.PlanningAhead {
	return simulate.PlanningAhead{MaxAge: 5 * time.Minute, Pause: 30 * time.Second, PauseMax: 5 * time.Minute, Takes: *planTakes}
}

// recorded are the loads and how they are cut.
func recorded(tb testing.TB) []simulate.Trace {
	tb.Helper()
	files := []struct{ name, path, from, to string }{
		{"wc", "worldcup98/worldcup98_requests_per_minute.csv.gz", "53d", "60d"},
		{"elb", "nab/elb_request_count_8c0756.csv.gz", "", ""},
		{"code", "azure_llm_2023/azure_llm_2023_code_requests_per_second.csv.gz", "", ""},
		{"conv", "azure_llm_2023/azure_llm_2023_conv_requests_per_second.csv.gz", "", ""},
	}
	if *nasa != "" {
		files = append(files, struct{ name, path, from, to string }{"nasa", *nasa, "9d", "16d"})
	}
	var all []simulate.Trace
	for _, f := range files {
		path := f.path
		if !filepath.IsAbs(path) {
			path = filepath.Join("../../bench/traces", path)
		}
		series, err := trace.ReadFile(path, trace.Options{From: f.from, To: f.to, Gaps: trace.GapLine})
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, simulate.Trace{Name: f.name, Step: series.Step, Rates: series.Rates()})
	}
	return all
}

// BenchmarkForesight says for recorded loads which share of upward orders would find
// a plan made ahead, and how many plans that takes.
func BenchmarkForesight(b *testing.B) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "load\tpeak cells\tbirth\torders\tat once %\tfresh %\tcaught %\tplans\ta day\tof a core %\t")
	var all simulate.Foresights
	days := 0.0
	for _, t := range recorded(b) {
		for _, peak := range []float64{8, 40, 100} {
			load := t.Scaled(peak * 0.9 * 100).Seconds()
			for _, birth := range []time.Duration{20 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute} {
				world := simulate.DefaultWorld()
				world.Birth, world.Serial, world.Max = birth, true, int(math.Ceil(1.5*peak))
				law := simulate.NewForeseeing(world, simulate.OurPolicy(), ahead())
				simulate.Run(world, load, law, 1)
				row(w, t.Name, peak, birth, law.Fared, float64(len(load))/86400)
				all = sum(all, law.Fared)
				days += float64(len(load)) / 86400
			}
		}
	}
	row(w, "all", 0, 0, all, days)
	_ = w.Flush() // a strings.Builder takes everything
	b.Log("\n" + text.String())
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(share(all.Fresh, all.Orders), "fresh-%")
	b.ReportMetric(share(all.Fresh+all.Caught, all.Orders), "found-%")
	b.ReportMetric(share(all.Fresh+all.Caught, all.Orders-all.AtOnce), "found-of-those-that-could-%")
	b.ReportMetric(float64(all.Plans)/float64(all.Orders), "plans/order")
	b.ReportMetric(float64(all.Plans)/days, "plans/day")
	b.ReportMetric(100*float64(all.Plans)/days*planCPU.Hours()/24, "%-of-a-core")
}

func row(w *tabwriter.Writer, name string, peak float64, birth time.Duration, f simulate.Foresights, days float64) {
	fmt.Fprintf(w, "%s\t%.0f\t%s\t%d\t%.0f\t%.0f\t%.0f\t%d\t%.0f\t%.2f\t\n", name, peak, birth, f.Orders,
		share(f.AtOnce, f.Orders), share(f.Fresh, f.Orders), share(f.Caught, f.Orders), f.Plans, float64(f.Plans)/days, 100*float64(f.Plans)/days*planCPU.Hours()/24)
}

func share(n, of int) float64 { return 100 * float64(n) / math.Max(1, float64(of)) }

func sum(a, b simulate.Foresights) simulate.Foresights {
	return simulate.Foresights{
		Orders: a.Orders + b.Orders, Fresh: a.Fresh + b.Fresh, Caught: a.Caught + b.Caught, AtOnce: a.AtOnce + b.AtOnce,
		Plans: a.Plans + b.Plans, Old: a.Old + b.Old, Other: a.Other + b.Other,
	}
}
