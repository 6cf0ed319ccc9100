package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// tick is the time that arrivals are counted in.
const tick = 200 * time.Millisecond

// producer puts jobs on the queue as a plan says, whether or not they are done.
type producer struct {
	rig   *rig
	plan  plan
	began time.Time

	mu sync.Mutex
	// due and arrived count jobs in each tick since it began: those that the plan had
	// due, and those that the queue took. It is the latter that workers and law have to
	// do with.
	due, arrived []int
	sent         int
	late         []time.Duration // from when a job was due until the queue had it
	failed       error           // the first error of the queue
}

func newProducer(r *rig, p plan) *producer { return &producer{rig: r, plan: p} }

// run produces until the plan is over or ctx ends, and waits until the queue has all.
func (p *producer) run(ctx context.Context) error {
	client, err := p.rig.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same load in each run
	p.mu.Lock()
	p.began = time.Now()
	p.mu.Unlock()
	for due := range p.plan.due(random.ExpFloat64) {
		if wait := time.Until(p.began.Add(due)); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		// One after the other, so that each partition gets as much.
		record := &kgo.Record{
			Topic: jobs, Partition: int32(p.sent % partitions), Timestamp: time.Now(),
			Key: fmt.Appendf(nil, "job-%d", p.sent),
		}
		p.sent++
		client.Produce(ctx, record, func(_ *kgo.Record, err error) { p.taken(p.began.Add(due), err) })
	}
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("put the last jobs on the queue: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// taken counts a job that the queue has, or has refused.
func (p *producer) taken(due time.Time, err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if p.failed == nil {
			p.failed = fmt.Errorf("put a job on the queue: %w", err)
		}
		return
	}
	p.arrived = counted(p.arrived, now.Sub(p.began))
	p.due = counted(p.due, due.Sub(p.began))
	p.late = append(p.late, now.Sub(due))
}

// counted counts one more in the tick of an instant.
func counted(ticks []int, at time.Duration) []int {
	i := int(at / tick)
	for len(ticks) <= i {
		ticks = append(ticks, 0)
	}
	ticks[i]++
	return ticks
}

// rate is what the queue took a second, in the last seconds.
func (p *producer) rate(last time.Duration) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.IsZero() {
		return 0
	}
	sum, now := 0, int(time.Since(p.began)/tick)
	for at := max(0, now-int(last/tick)); at < min(now, len(p.arrived)); at++ {
		sum += p.arrived[at]
	}
	return float64(sum) / last.Seconds()
}

// total is what the queue took.
func (p *producer) total() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.late)
}
