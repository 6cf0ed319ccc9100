package loop

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

var (
	manyCount = flag.Int("cells", 1000, "how many cells BenchmarkVitals gathers the vitals of")
	manyBeats = flag.Int("beats", 12, "how many beats it measures")
)

// BenchmarkVitals measures a beat of a leader with 1,000 cells, each of which has its
// own port on loopback, the peers' key, a registration and its watches in a real
// Consul, all of them in a process of their own: look, observe, decide, tell. Then a
// tenth of them falls silent, and after that what all of them ask of Consul while
// nothing happens is measured.
func BenchmarkVitals(b *testing.B) {
	if testing.Short() {
		b.Skip("needs Consul")
	}
	conns := fmt.Sprintf("limits { http_max_conns_per_client = %d }", 16**manyCount)
	consul := testkit.ConsulWith(b, testkit.ConsulOptions{Config: conns})
	l, silence := leaderOfMany(b, consul)
	testkit.Await(b, 5*time.Minute, func(ctx context.Context) error {
		members, err := l.Fleet.Members(ctx, "many")
		passing := 0
		for _, m := range members {
			if m.Health == fleet.Passing {
				passing++
			}
		}
		if passing < *manyCount {
			return fmt.Errorf("%d of %d cells pass: %w", passing, *manyCount, err)
		}
		return nil
	})
	for range 2 { // connections are made, caches warm
		beatOfMany(b, l)
	}
	var times []time.Duration
	cpu := cpuTime(b)
	for range *manyBeats {
		took, obs := beatOfMany(b, l)
		if times = append(times, took); !obs.Offered.Known || obs.Offered.Value != 60*float64(*manyCount) {
			b.Fatalf("offered %+v", obs.Offered)
		}
	}
	perBeat := (cpuTime(b) - cpu) / time.Duration(*manyBeats)
	share := 100 * perBeat.Seconds() / l.Service.Beat.Seconds()
	slices.Sort(times)
	b.Logf("%d cells, %d beats: %s a beat (%s to %s), %s of CPU each: %.1f %% of a core at a beat of %s; %s resident", *manyCount, *manyBeats,
		times[len(times)/2], times[0], times[len(times)-1], perBeat, share, l.Service.Beat, resident(b))

	silence(*manyCount / 10)
	for beat := 1; beat <= 5; beat++ {
		began := time.Now()
		took, obs := beatOfMany(b, l)
		b.Logf("a tenth silent, beat %d: %s, offered known %v, stand-ins %d, %s", beat, took, obs.Offered.Known, obs.StandIns.Cells, obs.Offered.Reason)
		if took > l.Service.Beat {
			b.Errorf("the beat took longer than a beat")
		}
		time.Sleep(l.Service.Beat - time.Since(began))
	}
	silence(0)
	consulLoad(b, consul)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(times[len(times)/2].Milliseconds()), "beat-ms")
	b.ReportMetric(share, "leader-cpu-%")
}

func leaderOfMany(b *testing.B, consul *testkit.ConsulServer) (l *Leader, silence func(int)) {
	b.Helper()
	keys, silence, _ := manyCells(b, *manyCount, consul.Addr())
	c, err := fleet.New(fleet.Config{Addresses: []string{consul.Addr()}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	lease, err := c.TryStand(b.Context(), "many", fleet.Holder{Host: "here"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = lease.Release(context.WithoutCancel(b.Context())) })
	s := &policy.Service{
		Name: "many", Min: 1, Max: 2 * *manyCount, Beat: 5 * time.Second,
		Latency: &policy.Latency{Quantile: 0.99, Upper: time.Second}, Birth: policy.Birth{Time: time.Minute},
	}
	siblings := sense.NewSiblings(sense.SiblingsConfig{Timeout: s.Beat / 2, MaxAge: 3 * s.Beat, Sign: keys.Transport})
	b.Cleanup(siblings.Close)
	l = NewLeader(LeaderConfig{
		Service: s, Fleet: c, Sources: Sources{Vitals: siblings.Gather}, Metrics: NewMetrics(prometheus.NewRegistry(), time.Now),
		Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}, lease)
	for i := range *manyCount {
		l.record.Names = append(l.record.Names, cellName("many", i))
	}
	l.record.Count = *manyCount
	return l, silence
}

// beatOfMany is what a beat does before it acts.
func beatOfMany(b *testing.B, l *Leader) (time.Duration, balance.Observation) {
	b.Helper()
	began := time.Now()
	v := l.look(b.Context())
	if v.membersErr != nil || v.consulErr != nil || !v.proven {
		b.Fatal(v.membersErr, v.consulErr, v.proven)
	}
	obs := l.eyes.observe(v, l.books(0), &l.memory)
	l.memory.Law, l.last = balance.Decide(LawConfig(l.Service, l.bounds()), l.memory.Law, obs)
	l.tellSlow(l.watchSlow(b.Context(), v))
	l.tell(b.Context(), v, obs, "")
	return time.Since(began), obs
}

// consulLoad measures what the cells ask of Consul, and what that costs it.
func consulLoad(b *testing.B, consul *testkit.ConsulServer) {
	b.Helper()
	const over = 30 * time.Second
	client, err := consul.Client()
	if err != nil {
		b.Fatal(err)
	}
	before, requests := processCPU(b, consul.PID()), 0
	// Consul counts in intervals of ten seconds, and shows the last whole one.
	for range over / (10 * time.Second) {
		time.Sleep(10 * time.Second)
		m, err := client.Agent().Metrics()
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range m.Samples {
			if strings.HasPrefix(s.Name, "consul.api.http") {
				requests += s.Count
			}
		}
	}
	cpu := processCPU(b, consul.PID()) - before
	b.Logf("Consul with %d cells at rest: %.0f requests/s, %.1f %% of a core", *manyCount, float64(requests)/over.Seconds(), 100*cpu.Seconds()/over.Seconds())
	b.ReportMetric(float64(requests)/over.Seconds(), "consul-requests/s")
	b.ReportMetric(100*cpu.Seconds()/over.Seconds(), "consul-cpu-%")
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processCPU is the CPU time that another process has taken.
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func resident(b *testing.B) string {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown memory"
}

// TestStragglersStandIn gathers twenty siblings of which two answer no more: what
// they told last counts for three beats and then nothing of the whole is known, but
// whether they are idle is never told from that.
func TestStragglersStandIn(t *testing.T) {
	now := time.Unix(1000, 0)
	silent := false
	vitals := func(_ context.Context, siblings []sense.Sibling) []sense.Result {
		all := make([]sense.Result, len(siblings))
		for i, s := range siblings {
			all[i] = sense.Result{Sibling: s, Vitals: vitalsOfMany(i)}
			all[i].Vitals.At = now
			if silent && i < 2 {
				all[i] = sense.Result{Sibling: s, Err: fmt.Errorf("ask %s: %w", s.Cell, context.DeadlineExceeded)}
			}
		}
		return all
	}
	var standIns sense.StandIns
	for beat, want := range []struct{ known, fresh, old int }{{20, 20, 0}, {20, 18, 2}, {20, 18, 2}, {20, 18, 2}, {18, 18, 0}} {
		silent = beat > 0
		v := view{at: now, byCell: map[string]sense.Vitals{}}
		for i := range 20 {
			v.members = append(v.members, fleet.Member{Cell: fleet.Cell{Service: "many", Name: cellName("many", i), Incarnation: "x", Vitals: "http://127.0.0.1:1"}})
		}
		v.ask(t.Context(), Sources{Vitals: vitals}, 0.99, func(r []sense.Result) { standIns.Fill(r, now, 15*time.Second) })
		if v.vitals.Offered.Known != want.known || v.vitals.Offered.Value.Known != (want.known == 20) || len(v.byCell) != want.fresh || v.vitals.Silent.Cells != want.old {
			t.Errorf("beat %d: %+v, fresh %d, stand-ins %d", beat, v.vitals.Offered, len(v.byCell), v.vitals.Silent.Cells)
		}
		obs := newEyes(&policy.Service{Latency: &policy.Latency{}}).observe(v, books{}, &memory{})
		_, d := balance.Decide(balance.Config{Min: 1, Max: 40, Requests: true}, balance.State{}, obs)
		told := slices.ContainsFunc(d.Terms, func(t balance.Term) bool { return t.Name == "stand-ins" && t.Value == 2 })
		if told != (want.old > 0) {
			t.Errorf("beat %d: the decision tells of stand-ins: %v", beat, told)
		}
		now = now.Add(5 * time.Second)
	}
}
