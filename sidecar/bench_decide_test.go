package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// mostBeats is within how many beats a lag must show in the decision: the one
// that was under way when the messages were acknowledged, and the next.
const mostBeats = 2

// TestLagIsDecidedOnWithinTwoBeats lets a consumer group that has stopped fall
// behind, and counts the leader's beats until it wants more cells for that; then
// it sees that the order follows.
func TestLagIsDecidedOnWithinTwoBeats(t *testing.T) {
	needServers(t)
	s := newStalled(t)
	if beats, _ := s.burst(); beats > mostBeats {
		t.Errorf("the lag was decided on after %d beats, want at most %d", beats, mostBeats)
	}
	s.must(s.fleet.Resume(t.Context(), "pod"))
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		record, _, err := s.fleet.Record(ctx, "pod")
		if err == nil && record.Count < 2 {
			err = errors.New("no cell is ordered")
		}
		return err
	})
}

// BenchmarkLagToDecision measures the same many times, in beats and in time.
func BenchmarkLagToDecision(b *testing.B) {
	rounds := measuring(b)
	s := newStalled(b)
	var times figures
	count := map[int]int{}
	for range rounds {
		// calm ends just after a beat; bursts come at any time between two.
		time.Sleep(rand.N(stalledBeat))
		beats, took := s.burst()
		count[beats]++
		times.add("lag to decision", fmt.Sprintf("at a beat of %s", stalledBeat), took)
		s.calm()
	}
	most := 0
	for beats := range count {
		most = max(most, beats)
	}
	b.Logf("%d rounds, load %s; rounds by beats: %v\n%s", rounds, machineLoad(), count, times.table())
	report(b, map[string]float64{
		"most-beats": float64(most),
		"median-ms":  ms(quantile(times.of("lag to decision", times.rows[0]), 0.5)),
	})
}

const stalledBeat = 500 * time.Millisecond

// stalled is a service of one cell whose rate the leader has learned, and whose
// consumer group stands still. It is paused, so that every burst finds one cell:
// what is measured is the decision, which a pause doesn't keep the leader from.
type stalled struct {
	*house
	*queue
	metrics *sense.Scraper
}

func newStalled(t testing.TB) *stalled {
	t.Helper()
	kafka := testkit.SharedKafka(t)
	q := newQueue(t, kafka, 4)
	h := newHouse(t, houseOptions{
		Beat:  stalledBeat.String(),
		Above: fmt.Sprintf("kafka { brokers = [%q] }", kafka.Addr()),
		// The law's memory is short, so that a burst is forgotten before the
		// next one, and births are, so that the one cell can't be expected to
		// have worked a burst off before another is born.
		Policy: q.block("5s") + `
  birth { time = "1s" }
  law {` + shortMemory + `    rate_backlog    = "500ms"
  }
`})
	h.apply()
	h.settled(1, time.Minute)
	h.must(h.fleet.Pause(t.Context(), "pod", fleet.Pause{By: "test"}))
	s := &stalled{house: h, queue: q}
	s.connect()
	s.teach()
	s.calm()
	return s
}

// connect finds the leader's own metrics.
func (s *stalled) connect() {
	s.house.t.Helper()
	members, err := s.fleet.Members(s.house.t.Context(), "pod")
	s.must(err)
	s.metrics, err = sense.NewScraper(sense.ScraperConfig{URL: members[0].Vitals + "/metrics", Timeout: 5 * time.Second})
	s.must(err)
	s.house.t.Cleanup(s.metrics.Close)
}

// teach works a backlog off at an even pace until the leader knows from that
// what a cell does, and so wants more.
func (s *stalled) teach() {
	s.house.t.Helper()
	const backlog, pace = 1000, 50 // messages of a partition, and done a second
	for partition := range s.partitions {
		s.produce(partition, backlog)
	}
	began := time.Now()
	testkit.Await(s.house.t, time.Minute, func(ctx context.Context) error {
		done := make([]int64, s.partitions)
		for partition := range done {
			done[partition] = min(int64(time.Since(began).Seconds()*pace), s.ends[partition])
		}
		s.commit(done)
		return s.decided(ctx, balance.CodeGrow)
	})
}

// calm takes the lag away and waits until no more cells are wanted.
func (s *stalled) calm() {
	s.house.t.Helper()
	s.commitAll()
	testkit.Await(s.house.t, time.Minute, func(ctx context.Context) error { return s.decided(ctx, balance.CodeSteady) })
}

// decided returns nil when the leader's last word has this code.
func (s *stalled) decided(ctx context.Context, code string) error {
	var word loop.Word
	if err := s.fleet.Decision(ctx, "pod", &word); err != nil {
		return err
	}
	if word.Decision.Code != code {
		return fmt.Errorf("the decision is %s, not %s: %s; unknown: %v", word.Decision.Code, code, word.Decision.Reason, word.Decision.Unknown)
	}
	return nil
}

// burst puts messages on the topic that nobody reads. It returns how many beats
// it took from their acknowledgement until the leader wanted more cells, that
// beat included, and how long.
//
// Beats are counted by the leader's own counters of decisions, of which none is
// lost however seldom they are read: those that saw the topic and went on finding
// one cell enough, and one more.
func (s *stalled) burst() (beats int, took time.Duration) {
	s.house.t.Helper()
	before := s.decisions(balance.CodeGrow)
	for partition := range s.partitions {
		s.produce(partition, 1000)
	}
	acknowledged, steady := time.Now(), s.decisions(balance.CodeSteady)
	testkit.Await(s.house.t, time.Minute, func(context.Context) error {
		if s.decisions(balance.CodeGrow) == before {
			return errors.New("no more cells are wanted")
		}
		return nil
	})
	return s.decisions(balance.CodeSteady) - steady + 1, time.Since(acknowledged)
}

// decisions is how many decisions of a code the leader has taken.
func (s *stalled) decisions(code string) int {
	s.house.t.Helper()
	scrape, err := s.metrics.Scrape(s.house.t.Context())
	s.must(err)
	n, err := scrape.Value("homeostat_decisions_total", map[string]string{"service": "pod", "code": code})
	if err != nil {
		return 0 // none yet
	}
	return int(n)
}
