package spool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var powerCuts = flag.Int("power-cuts", 100, "how many trials of power cuts are made")

// TestPowerCuts cuts the power at random bytes, several times in each log's life.
// All that was acknowledged and not confirmed must be there, in each writer's order,
// nothing else may be, and no alarm be given.
func TestPowerCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir, during, opening := t.TempDir(), map[string]int{}, 0
	for i := range *powerCuts {
		trial := &cutTrial{
			random: rand.New(rand.NewPCG(seed, uint64(i))), dir: filepath.Join(dir, strconv.Itoa(i)),
			submitted: map[string]bool{}, acknowledged: map[string]bool{}, confirmed: map[string]bool{},
		}
		for life := range 3 {
			d, opened, err := trial.live(life)
			if err != nil {
				t.Fatalf("trial %d of seed %d, life %d: %v", i, seed, life, err)
			}
			during[d.during]++
			if !opened {
				opening++
			}
		}
	}
	t.Logf("cut during %v; %d times while a log was opened", during, opening)
	for _, what := range cutKinds {
		if during[what] == 0 && *powerCuts >= 100 {
			t.Errorf("no power was cut during what is called %s", what)
		}
	}
	if opening == 0 {
		t.Error("no power was cut while a log was opened")
	}
}

// cutTrial is one log through several lives.
type cutTrial struct {
	random                             *rand.Rand
	dir                                string
	mu                                 sync.Mutex
	submitted, acknowledged, confirmed map[string]bool
}

// live opens the log, looks at what is there, and writes until the power is cut. It may
// be cut before the log is open.
func (c *cutTrial) live(life int) (d *cutDisk, opened bool, err error) {
	d = newCutDisk(rand.New(rand.NewPCG(c.random.Uint64(), 0)), c.random.IntN(60_000))
	l, report, err := openLog(logConfig{
		dir: c.dir, disk: d, segmentBytes: int64(1000 + c.random.IntN(20_000)), maxBytes: 1 << 30,
	})
	if errors.Is(err, errPower) {
		return d, false, d.cut()
	}
	if err != nil {
		return d, false, err
	}
	if len(report.Damages) > 0 {
		return d, true, fmt.Errorf("a cut is taken for damage: %v", report.Damages)
	}
	if err := c.check(l, report); err != nil {
		return d, true, err
	}
	var writers sync.WaitGroup
	for w := range 1 + c.random.IntN(8) {
		sizes := rand.New(rand.NewPCG(c.random.Uint64(), 1))
		writers.Go(func() { c.write(l, fmt.Sprintf("%d-%d", life, w), sizes) })
	}
	reading := make(chan error, 1)
	confirms := c.random.IntN(8)
	ended := make(chan struct{})
	go func() { reading <- c.confirm(l, confirms, ended) }()
	writers.Wait()
	close(ended)
	err = <-reading
	_ = l.close() // it may fail: the disk is gone
	return d, true, errors.Join(err, d.cut())
}

// check reads all that the log holds.
func (c *cutTrial) check(l *messageLog, report Recovery) error {
	r := l.reader(func(d Damage) { panic(d.String()) })
	defer r.close()
	there, last := map[string]bool{}, map[string]int{}
	for {
		entries, err := r.read()
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			id, _, _ := strings.Cut(string(e.payload), " ")
			writer, n, _ := strings.Cut(id, ":")
			number, err := strconv.Atoi(n)
			switch {
			case err != nil || !c.submitted[string(e.payload)]:
				return fmt.Errorf("%q was never written", e.payload)
			case there[string(e.payload)] || last[writer] > number:
				return fmt.Errorf("%s comes twice, or out of its order", id)
			}
			there[string(e.payload)], last[writer] = true, number
		}
	}
	if len(there) != report.Messages || l.stats().depth != len(there) {
		return fmt.Errorf("%d messages are there, %d were reported, the depth is %d", len(there), report.Messages, l.stats().depth)
	}
	for id := range c.acknowledged {
		if !there[id] && !c.confirmed[id] {
			return fmt.Errorf("%q was acknowledged and is gone", id)
		}
	}
	return nil
}

// write appends messages, some in batches, until the log takes none any more.
func (c *cutTrial) write(l *messageLog, writer string, sizes *rand.Rand) {
	for n := 0; ; {
		var batch [][]byte
		for range 1 + sizes.IntN(3) {
			n++
			batch = append(batch, []byte(fmt.Sprintf("%s:%d %s", writer, n, strings.Repeat("x", sizes.IntN(1500)))))
		}
		c.note(c.submitted, batch)
		if l.append(context.Background(), batch) != nil {
			return
		}
		c.note(c.acknowledged, batch)
	}
}

func (c *cutTrial) note(in map[string]bool, payloads [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range payloads {
		in[string(p)] = true
	}
}

// confirm plays the queue that takes some of the messages as they come.
func (c *cutTrial) confirm(l *messageLog, times int, ended <-chan struct{}) error {
	r := l.reader(func(d Damage) { panic(d.String()) })
	defer r.close()
	for times > 0 {
		entries, err := r.read()
		if errors.Is(err, errPower) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			select {
			case <-ended:
				return nil
			case <-l.grown:
			}
			continue
		}
		times--
		for i, e := range entries {
			if i > 0 && times == 0 && i == len(entries)/2 {
				return nil // what was read behind is never confirmed
			}
			c.note(c.confirmed, [][]byte{e.payload})
			l.confirmed(1)
			if err := l.release(e.sequence + 1); err != nil && !errors.Is(err, errPower) {
				return err
			}
		}
	}
	return nil
}
