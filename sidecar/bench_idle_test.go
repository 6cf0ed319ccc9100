package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// askAgain is the pause between two looks at how far a leader at rest is.
const askAgain = 2500 * time.Millisecond

// BenchmarkIdle measures what sidecars take while nothing happens: twenty cells,
// one of which leads, at a beat of 5 s, with a topic of 1,000 partitions on a
// real Kafka and a consumer group that has committed on each of them. Memory is
// as the kernel tells it after the beats measured, CPU time is over those beats,
// which are a minute.
func BenchmarkIdle(b *testing.B) {
	needServers(b)
	const cells, partitions, beats = 20, 1000, 12
	kafka := testkit.SharedKafka(b)
	q := newQueue(b, kafka, partitions)
	for partition := range partitions {
		q.produce(partition, 1)
	}
	q.commitAll()
	h := newHouse(b, houseOptions{
		Beat: "5s", Min: cells, Max: cells, Initial: cells,
		Above:  fmt.Sprintf("kafka { brokers = [%q] }", kafka.Addr()),
		Policy: q.block("30s"),
	})
	h.apply()
	h.settled(cells, 3*time.Minute)

	all, leader := h.measured()
	all.awaitBeats(leader, 3) // preparations are over
	before, began, load := all.cpu(b), time.Now(), machineLoad()
	all.awaitBeats(leader, beats)
	after, took := all.cpu(b), time.Since(began)

	var shares, rss, pss []float64
	for _, p := range all.sidecars {
		share := 100 * float64(after[p.PID]-before[p.PID]) / float64(took)
		memory := memoryOf(b, p.PID)
		if p.PID == leader.PID {
			b.Logf("leader of %d cells, topic of %d partitions: %.2f %% of a core over %.0f s; %s", cells, partitions, share, took.Seconds(), memory)
			report(b, map[string]float64{"leader-cpu-%": share, "leader-rss-MiB": memory["Rss"], "leader-pss-MiB": memory["Pss"]})
			continue
		}
		shares, rss, pss = append(shares, share), append(rss, memory["Rss"]), append(pss, memory["Pss"])
	}
	b.Logf("%d followers, medians: %.2f %% of a core; Rss %.1f MiB, Pss %.1f MiB; most: %.2f %%, Rss %.1f MiB; machine's load %s before, %s after",
		len(rss), middle(shares), middle(rss), middle(pss), slices.Max(shares), slices.Max(rss), load, machineLoad())
	report(b, map[string]float64{"follower-cpu-%": middle(shares), "follower-rss-MiB": middle(rss), "follower-pss-MiB": middle(pss)})
}

func middle(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }

// atRest are the sidecars of a house in which nothing happens.
type atRest struct {
	*house
	sidecars []process
	metrics  *sense.Scraper // the leader's
}

// measured finds the cells' sidecars, and the leader's among them.
func (h *house) measured() (*atRest, process) {
	h.t.Helper()
	holder, err := h.fleet.Leader(h.t.Context(), "pod")
	h.must(err)
	r := &atRest{house: h, sidecars: h.sidecars()}
	i := slices.IndexFunc(r.sidecars, func(p process) bool { return p.PID == holder.PID })
	if i < 0 {
		h.t.Fatalf("the leader %+v is none of %v", holder, r.sidecars)
	}
	r.metrics, err = sense.NewScraper(sense.ScraperConfig{URL: holder.Vitals + "/metrics", Timeout: 5 * time.Second})
	h.must(err)
	h.t.Cleanup(r.metrics.Close)
	return r, r.sidecars[i]
}

// awaitBeats waits until the leader has gone round n more times. It asks seldom,
// since answering is work for the leader. It fails when a reading of the topic is
// missing, or another leads: that would be no rest.
func (r *atRest) awaitBeats(leader process, n float64) {
	r.t.Helper()
	first := r.decisions()
	testkit.Await(r.t, 3*time.Minute, func(context.Context) error {
		if done := r.decisions() - first; done < n {
			<-time.After(askAgain)
			return fmt.Errorf("%.0f of %.0f beats", done, n)
		}
		return nil
	})
	status := r.status()
	if status.Leader == nil || status.Leader.PID != leader.PID || status.Last == nil || len(status.Last.Decision.Unknown) > 0 || status.Last.Lag == nil {
		r.t.Fatalf("not at rest: %+v", status)
	}
}

// decisions is how many beats the leader has decided in.
func (r *atRest) decisions() float64 {
	r.t.Helper()
	scrape, err := r.metrics.Scrape(r.t.Context())
	r.must(err)
	n, err := scrape.Value("homeostat_decisions_total", map[string]string{"service": "pod"})
	if err != nil {
		return 0 // none yet
	}
	return n
}

// cpu is the CPU time that each sidecar has taken so far.
func (r *atRest) cpu(b *testing.B) map[int]time.Duration {
	b.Helper()
	out := map[int]time.Duration{}
	for _, p := range r.sidecars {
		out[p.PID] = cpuOf(b, p.PID).own
	}
	return out
}
