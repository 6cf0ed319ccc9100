package spool

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// sender takes one topic's messages from its log to the queue. All but what its
// last fields hold is its own goroutine's.
type sender struct {
	topic    string
	log      *messageLog
	broker   Broker
	pressure Pressure
	timeout  time.Duration // of one request
	logger   *slog.Logger
	now      func() time.Time

	reader *reader
	pacer  Pacer
	// window are the messages read and not yet all confirmed, in the order of the
	// log. The first `let` of them may go, or have.
	window     []*item
	let        int
	bytes      int // of those that aren't confirmed
	done       int // how many are confirmed, and wait for one before them to be
	lanes      []*lane
	partitions []int
	asked      time.Time // when the partitions were asked for
	results    chan result
	sending    int             // requests under way
	troubles   map[string]bool // that were told of

	flushing atomic.Bool   // nothing is held back
	hurry    chan struct{} // wakes it
	sent     atomic.Uint64
	held     atomic.Bool
	oldest   atomic.Int64 // when the oldest was accepted, Unix nanoseconds; 0 for none
}

// result is how a request of a lane ended.
type result struct {
	lane *lane
	err  error
}

const (
	// readAhead is how many messages are read that may not go yet, windowMost and
	// windowBytes how much is held in memory at most that isn't confirmed, windowSpan
	// how many messages there are at most from the first of these on, which are sent
	// again after a crash, and underWay how many may be
	// let go and not be confirmed, beside those that wait for a partition that takes
	// none.
	readAhead   = 256
	windowMost  = 1 << 14
	windowSpan  = 1 << 16
	windowBytes = 32 << 20
	underWay    = 2048
	// tick is how often the pace is looked at while something waits for it, and
	// refresh how often the topic's partitions are counted anew.
	tick    = 50 * time.Millisecond
	refresh = time.Minute
)

// run sends until ctx ends. A request that is under way then is waited for.
func (s *sender) run(ctx context.Context) {
	defer s.reader.close()
	noting := s.now()
	for ctx.Err() == nil {
		s.fill()
		s.allow(ctx)
		s.dispatch(context.WithoutCancel(ctx))
		if now := s.now(); now.Sub(noting) >= time.Second {
			noting = now
			s.trouble("note how far it was sent", s.log.note())
		}
		s.await(ctx)
	}
	for s.sending > 0 {
		s.take(<-s.results)
	}
}

// await returns when there may be something to do.
func (s *sender) await(ctx context.Context) {
	timer := time.NewTimer(s.pause())
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case r := <-s.results:
		s.take(r)
	case <-s.log.grown:
	case <-s.hurry:
	case <-timer.C:
	}
}

// pause is how long nothing needs a look if nothing happens.
func (s *sender) pause() time.Duration {
	pause := time.Second
	if len(s.window) > s.let {
		pause = tick
	}
	for _, l := range s.lanes {
		if len(l.waiting) > 0 && l.sending == 0 {
			pause = min(pause, max(time.Millisecond, l.retry.Sub(s.now())))
		}
	}
	return pause
}

// fill reads ahead.
func (s *sender) fill() {
	for len(s.window)-s.let < readAhead && len(s.window) < windowSpan && len(s.window)-s.done < windowMost && s.bytes < windowBytes {
		entries, err := s.reader.read()
		if s.trouble("be read", err); err != nil {
			return
		}
		if len(entries) == 0 {
			break
		}
		now := s.now()
		for _, e := range entries {
			m, err := decode(e.payload)
			if err != nil { // its checksum is right, so another version wrote it
				s.logger.Error("a message of the spool can't be read and is passed over; its file is kept aside where there is room for it", "topic", s.topic, "sequence", e.sequence, "error", err)
				_, err := s.reader.keepAside()
				s.trouble("keep a file aside", err)
				s.log.confirmed(1)
				continue
			}
			if m.Accepted.After(now) { // The clock went back.
				m.Accepted = now
			}
			s.window = append(s.window, &item{sequence: e.sequence, message: m, size: len(e.payload)})
			s.bytes += len(e.payload)
		}
	}
	if len(s.window) == 0 {
		s.trouble("remove what was sent", s.log.release(s.reader.next))
	}
	oldest := int64(0)
	if len(s.window) > 0 {
		oldest = s.window[0].message.Accepted.UnixNano()
	}
	s.oldest.Store(oldest)
}

// allow lets messages go as the pace has it.
func (s *sender) allow(ctx context.Context) {
	if !s.knowPartitions(ctx) {
		if len(s.window) > 0 { // else it wasn't asked
			s.pacer.Observe(s.now(), Load{Away: true})
		}
		return
	}
	unconfirmed, flowing := 0, 0
	for _, l := range s.lanes {
		unconfirmed += len(l.waiting)
		if l.failures == 0 {
			flowing += len(l.waiting)
		}
	}
	now := s.now()
	load := Load{Depth: max(0, s.log.stats().depth-unconfirmed), Away: s.away(), Held: s.pressure != nil && !s.pressure.WithinBound()}
	if s.let < len(s.window) {
		load.Oldest = s.window[s.let].message.Accepted
	} else {
		load.Depth = 0
	}
	if s.flushing.Load() {
		load.Held = false
	}
	s.held.Store(load.Held && load.Depth > 0)
	s.pacer.Observe(now, load)
	for s.let < len(s.window) && flowing < underWay {
		next := s.window[s.let]
		if !s.pacer.Take(next.message.Accepted) && !(s.flushing.Load() && !load.Away) {
			return
		}
		l := s.lanes[partitionOf(next, s.partitions)]
		l.waiting = append(l.waiting, next)
		s.let++
		if l.failures == 0 {
			flowing++
		}
	}
}

// away says that the queue can't be reached: no lane gets anything there.
func (s *sender) away() bool {
	for _, l := range s.lanes {
		if l.failures == 0 {
			return false
		}
	}
	return true
}

// dispatch has each lane send that isn't at it.
func (s *sender) dispatch(ctx context.Context) {
	now := s.now()
	for _, l := range s.lanes {
		if l.sending > 0 || len(l.waiting) == 0 || now.Before(l.retry) {
			continue
		}
		messages := l.batch()
		s.sending++
		go func() {
			limit, cancel := context.WithTimeout(ctx, s.timeout)
			defer cancel()
			s.results <- result{l, s.broker.Produce(limit, s.topic, l.partition, messages)}
		}()
	}
}

// take notes how a request ended.
func (s *sender) take(r result) {
	s.sending--
	if r.err != nil {
		first := r.lane.failures == 0
		r.lane.failed(s.now())
		if first {
			s.logger.Warn("messages of the spool were not taken and are sent again", "topic", s.topic, "partition", r.lane.partition, "error", r.err)
			s.asked = time.Time{} // it may have other partitions now
		}
		return
	}
	if r.lane.failures > 0 {
		s.logger.Info("messages of the spool are taken again", "topic", s.topic, "partition", r.lane.partition)
	}
	done := r.lane.succeeded()
	for _, i := range done {
		i.confirmed = true
		s.bytes -= i.size
		i.message = Message{}
	}
	s.done += len(done)
	s.sent.Add(uint64(len(done)))
	s.log.confirmed(len(done))
	n := 0
	for n < s.let && s.window[n].confirmed {
		n++
	}
	if n == 0 {
		return
	}
	position := s.window[n-1].sequence + 1
	s.window, s.let, s.done = s.window[n:], s.let-n, s.done-n
	s.trouble("remove what was sent", s.log.release(position))
}

// knowPartitions has the topic's partitions counted from time to time. Where their
// number has changed, all lanes are made anew, in the order of the log, once no
// request is under way.
func (s *sender) knowPartitions(ctx context.Context) bool {
	now := s.now()
	if !s.asked.IsZero() && now.Sub(s.asked) < refresh {
		return len(s.lanes) > 0
	}
	if s.sending > 0 || len(s.window) == 0 {
		return len(s.lanes) > 0
	}
	s.asked = now
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	n, err := s.broker.Partitions(ctx, s.topic)
	if err != nil {
		if len(s.lanes) == 0 {
			s.asked = now.Add(time.Second - refresh) // soon again
			s.trouble("find its topic's partitions", err)
		}
		return len(s.lanes) > 0
	}
	s.trouble("find its topic's partitions", nil)
	if n == len(s.lanes) {
		return true
	}
	s.lanes, s.partitions = nil, nil
	for p := range n {
		s.lanes = append(s.lanes, newLane(p))
		s.partitions = append(s.partitions, p)
	}
	for _, i := range s.window[:s.let] {
		if !i.confirmed {
			l := s.lanes[partitionOf(i, s.partitions)]
			l.waiting = append(l.waiting, i)
		}
	}
	return true
}

// trouble logs what doesn't work, once, and when it does again.
func (s *sender) trouble(what string, err error) {
	switch {
	case err != nil && !s.troubles[what]:
		s.logger.Error("the spool can't "+what+"; going on trying", "topic", s.topic, "error", err)
	case err == nil && s.troubles[what]:
		s.logger.Info("the spool can "+what+" again", "topic", s.topic)
	}
	s.troubles[what] = err != nil
}
