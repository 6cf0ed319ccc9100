package bench

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/traffic"
)

var birth = flag.Duration("birth", time.Minute, "how long after a step of the load, or after half the cells went, the others are there")

// waitingAPI is an application that works on 32 requests side by side, each for
// 100 ms on average, and clients who want their answer within 500 ms.
var waitingAPI = task{Workers: 32, Work: 100 * time.Millisecond, SLO: 500 * time.Millisecond}

// capacity is how many requests a second an application can do.
func (t task) capacity() float64 { return float64(t.Workers) / t.Work.Seconds() }

// BenchmarkStep doubles the load of one cell at an instant, and begins a second cell
// so long after it as a birth takes. Half of the load are clients. Each request
// served puts a message on the queue. At twice the load either clients alone are
// within what one cell can do, or not even they are.
func BenchmarkStep(b *testing.B) {
	n := roundsOf(b)
	if *birth < 2*spans || *birth%(2*spans) != 0 {
		b.Fatalf("-birth %s: give a multiple of %s", *birth, 2*spans)
	}
	first(b)
	var f, messages figures
	for round := range n {
		for _, share := range []float64{0.4, 0.6} {
			s := newStep(b, share, uint64(round))
			s.run(b)
			s.figures(&f, &messages)
			b.Logf("%s, load %s\n%s", s.name(), machineLoad(), s.table())
			s.stop()
		}
	}
	b.Logf("a birth of %s, clients' SLO %s, %d rounds\n%s\n%s", *birth, waitingAPI.SLO, n, f.table(), messages.table())
}

// step is one run.
type step struct {
	*house
	*queue
	share float64 // of what a cell can do: clients, and as much crawlers, before the step
	seed  uint64

	before, all       time.Duration
	clients, crawlers traffic.Outcome
	spool             []depths
	account           account
	busy              float64
}

// spans is by how much the outcomes are told apart.
const spans = 5 * time.Second

// warmUp is how long the limit and the newcomer's share may rise before it counts.
const warmUp = 30 * time.Second

func newStep(b *testing.B, share float64, seed uint64) *step {
	b.Helper()
	s := &step{share: share, seed: seed, before: *birth / 2, all: *birth*5/2 + spans}
	s.queue = newQueue(b)
	s.house = newHouse(b, waitingAPI, s.KafkaServer, s.topic)
	s.begin(b).ready(b)
	s.beginFront(b)
	return s
}

func (s *step) stop() {
	s.house.stop()
	s.queue.stop()
}

func (s *step) name() string {
	return fmt.Sprintf("clients %g to %g of a cell, crawlers the same", s.share, 2*s.share)
}

// run sends, has the second cell born, and counts.
func (s *step) run(b *testing.B) {
	b.Helper()
	rate := s.share * s.capacity()
	stream := func(name string, fields ...string) traffic.Stream {
		return traffic.Stream{
			Name: name, Rate: rate, Then: []traffic.Change{{After: warmUp + s.before, Rate: 2 * rate}},
			Path: "/", Fields: fields, Patience: 10 * time.Second, Follow: true,
		}
	}
	own, applications := ownCPU(b), s.cpu(b)
	u := send(b, traffic.Clients{
		Address: s.Listen, For: warmUp + s.all, WarmUp: warmUp, Every: spans, Connections: 3000, Seed: s.seed,
		Streams: []traffic.Stream{stream("clients"), stream("crawlers", "X-Crawler: 1")},
	})
	watched, stop := context.WithCancel(b.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	began := time.Now().Add(warmUp)
	watching.Go(func() { s.watch(watched, s.cells[0], began) })
	time.Sleep(time.Until(began.Add(s.before + *birth)))
	second := s.begin(b)
	second.ready(b)
	b.Logf("the second cell answers %.1f s after the step", time.Since(began.Add(s.before)).Seconds())
	sent := u.wait(b)
	s.busy = float64(s.cpu(b)-applications+sent.CPU+ownCPU(b)-own) / float64(sent.Lasted)
	if s.busy > busyLimit {
		b.Fatalf("void: generator, applications and the queue's reader had %.0f %% of their processor", 100*s.busy)
	}
	s.clients, s.crawlers = sent.Outcomes[0], sent.Outcomes[1]
	s.drained(b)
	stop()
	watching.Wait()
	for _, c := range s.cells {
		c.stop()
	}
	s.account = s.queue.account(b, s.cells)
}

// drained waits until the cells' spools have nothing to send any more.
func (s *step) drained(b *testing.B) {
	b.Helper()
	end := time.Now().Add(2 * time.Minute)
	for _, c := range s.cells {
		for {
			d, err := c.depth(b.Context())
			if err == nil && d.messages == 0 {
				break
			}
			if time.Now().After(end) {
				b.Fatalf("two minutes after the load the spool of %s still holds %.0f messages: %v", c.name, d.messages, err)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
}

// depths is what a spool holds at one instant.
type depths struct {
	at       time.Duration // from when counts began
	messages float64
	oldest   float64 // seconds
	held     float64 // 1 while clients' latency holds them back
}

// watch notes a cell's spool twice a second.
func (s *step) watch(ctx context.Context, c *cell, began time.Time) {
	for ticks := time.NewTicker(500 * time.Millisecond); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
			ticks.Stop()
		case <-ticks.C:
			if d, err := c.depth(ctx); err == nil {
				d.at = time.Since(began)
				s.spool = append(s.spool, d)
			}
		}
	}
}

// depth asks the sidecar's metrics.
func (c *cell) depth(ctx context.Context) (d depths, err error) {
	err = fetched(ctx, "http://"+c.own+"/metrics", func(answer *http.Response) error {
		seen := 0
		lines := bufio.NewScanner(answer.Body)
		for lines.Scan() {
			name, rest, _ := strings.Cut(lines.Text(), "{")
			into := map[string]*float64{
				"homeostat_spool_depth_messages": &d.messages, "homeostat_spool_oldest_seconds": &d.oldest, "homeostat_spool_held": &d.held,
			}[name]
			if into == nil {
				continue
			}
			seen++
			if *into, err = strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64); err != nil {
				return err
			}
		}
		if seen != 3 {
			return fmt.Errorf("%d of the spool's three gauges are among the metrics", seen)
		}
		return lines.Err()
	})
	return d, err
}

// fullest is what the spool held at most in a span.
func (s *step) fullest(from, to time.Duration) (most depths) {
	for _, d := range s.spool {
		if d.at >= from && d.at < to {
			most.messages, most.oldest, most.held = max(most.messages, d.messages), max(most.oldest, d.oldest), max(most.held, d.held)
		}
	}
	return most
}

// table is the run, span by span.
func (s *step) table() string {
	var t strings.Builder
	w := tabwriter.NewWriter(&t, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "s after the step\tclients due/s\tp50 ms\tp99 ms\tin time %\tmoved\tcrawlers due/s\tserved %\trefused %\tspool\toldest s\theld\t")
	for i, c := range s.clients.Parts {
		k, at := s.crawlers.Parts[i], time.Duration(i)*spans
		d := s.fullest(at, at+spans)
		due := float64(max(k.Due, 1))
		fmt.Fprintf(w, "%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%d\t%.0f\t%.1f\t%.1f\t%.0f\t%.1f\t%.0f\t\n",
			(at - s.before).Seconds(), float64(c.Due)/c.Over.Seconds(), ms(c.Quantile(0.5)), ms(c.Quantile(0.99)), 100*c.Share(s.SLO), c.Moved,
			float64(k.Due)/k.Over.Seconds(), 100*float64(k.Answered[200])/due, 100*float64(k.Answered[429])/due, d.messages, d.oldest, d.held)
	}
	_ = w.Flush() // a strings.Builder takes everything
	all := traffic.Together(s.clients.Parts)
	fmt.Fprintf(&t, "clients %v, %d given up, %d failed; crawlers %v, %d given up, %d failed; generator and applications %.0f %%\n",
		all.Answered, all.GivenUp, all.Failed, s.crawlers.Answered, s.crawlers.GivenUp, s.crawlers.Failed, 100*s.busy)
	fmt.Fprintf(&t, "%d messages acknowledged, %d lost, %d twice, %d invented, longest hold %s",
		s.account.acknowledged, s.account.lost, s.account.again, s.account.invented, s.account.hold.Round(time.Millisecond))
	return t.String()
}

// figures adds the run to those of others. The first moments of the newcomer, when
// its share and its limit are still rising, are neither during nor after.
func (s *step) figures(f, messages *figures) {
	born := s.before + *birth
	for _, span := range []struct {
		name     string
		from, to time.Duration
	}{{"before", 0, s.before}, {"during", s.before, born}, {"after", born + 2*spans, s.all}} {
		row := fmt.Sprintf("%g to %g, %s", s.share, 2*s.share, span.name)
		clients := traffic.Together(s.clients.Parts[span.from/spans : span.to/spans])
		crawlers := traffic.Together(s.crawlers.Parts[span.from/spans : span.to/spans])
		f.add(row, p99, ms(clients.Quantile(0.99)))
		f.add(row, "in time %", 100*clients.Share(s.SLO))
		f.add(row, "of a cell's capacity %", 100*clients.Within(s.SLO)/s.capacity())
		f.add(row, "crawlers refused %", 100*float64(crawlers.Answered[429])/float64(max(crawlers.Due, 1)))
	}
	row := fmt.Sprintf("%g to %g", s.share, 2*s.share)
	messages.add(row, "acknowledged", float64(s.account.acknowledged))
	messages.add(row, "lost", float64(s.account.lost))
	messages.add(row, "twice", float64(s.account.again))
	messages.add(row, "invented", float64(s.account.invented))
	messages.add(row, "longest hold s", s.account.hold.Seconds())
	messages.add(row, "spool at most", s.fullest(0, s.all).messages)
}
