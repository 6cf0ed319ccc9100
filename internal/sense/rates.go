package sense

import (
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Rates are what successive samples of lag say about the flow of messages.
type Rates struct {
	At time.Time
	// Offered is the growth of the log ends since the last sample, in messages
	// per second. It is known only if every partition's is.
	Offered reading.Reading
	// OfferedAtLeast is the growth over the partitions that are known.
	OfferedAtLeast reading.Reading
	// Served is the progress of the committed offsets in messages per second,
	// over at least the meter's window and two commit intervals. It is unknown
	// while the group is behind and has committed nothing in that time.
	Served reading.Reading
	// LagTime is how long the lag takes to work off at the rate served, in
	// seconds; zero without lag.
	LagTime reading.Reading
	// CommitInterval is the median time between two commits on a partition
	// that has something to read, in seconds. Commits are seen once a sample,
	// so what is shorter than the time between samples shows as that.
	CommitInterval reading.Reading
	// Reset says that offsets went back, and how, so that this step has no
	// rate. Empty otherwise.
	Reset string
}

// RateMeter turns successive samples of one group into rates. It is not safe
// for concurrent use.
type RateMeter struct {
	window     time.Duration
	partitions map[int]*partitionMeter
	// count is how many partitions the topic had when it was last seen, at seen.
	count int
	seen  time.Time
	last  time.Time

	served  servedMeter
	commits commitClock
}

// partitionMeter remembers what was last known of one partition; offsets and
// epoch are -1 until they are.
type partitionMeter struct {
	end   int64
	endAt time.Time
	epoch int32
	// committed is where progress counts from.
	committed int64
	// changed is when a commit was last seen; behind says that the group had
	// something to read in every sample since.
	changed time.Time
	behind  bool
}

// NewRateMeter returns a meter with the shortest window for the rate served;
// zero stands for 60 s.
func NewRateMeter(window time.Duration) *RateMeter {
	if window <= 0 {
		window = defaultServedWindow
	}
	m := &RateMeter{window: window}
	m.forget()
	return m
}

// forget starts anew, as with a topic never seen.
func (m *RateMeter) forget() {
	m.partitions = make(map[int]*partitionMeter)
	m.count = 0
	m.served.restart()
	m.commits = commitClock{}
}

// Observe takes the next sample and returns the rates it makes known. The time
// between samples is that of their monotonic clock where they have one. After
// a sample that is not later than the one before, all begins anew.
func (m *RateMeter) Observe(s LagSample) Rates {
	r := Rates{At: s.At}
	if m.last.IsZero() || s.At.After(m.last) {
		r.Reset = m.reset(s)
	} else {
		r.Reset = "the clock went back"
	}
	m.last = s.At
	if r.Reset != "" {
		m.forget()
	}
	m.meet(s)
	r.Offered, r.OfferedAtLeast = m.offered(s)
	if r.Reset != "" {
		r.Offered = reading.Reading{Reason: r.Reset, At: s.At}
		r.OfferedAtLeast = r.Offered
	}
	m.serve(s)
	r.CommitInterval = m.commits.interval(s.At)
	r.Served = m.served.rate(s, max(m.window, 2*m.commits.median()))
	r.LagTime = lagTime(s.Lag, r.Served)
	return r
}

// reset says in what way offsets went back since they were last known, which
// only a topic made anew, or one that lost messages, does. It is empty if none
// did. A topic that was made anew and has outgrown its old self between two
// samples is told only by its leader epochs.
func (m *RateMeter) reset(s LagSample) string {
	if n := len(s.Partitions); n > 0 && n < m.count {
		return fmt.Sprintf("topic %q has %d partitions after %d: it was made anew", s.Topic, n, m.count)
	}
	for _, p := range s.Partitions {
		last, met := m.partitions[p.Partition]
		switch {
		case !met || p.End < 0:
		case p.End < last.end:
			return fmt.Sprintf("the log end of partition %d of topic %q went back from %d to %d: the topic was made anew, or lost messages",
				p.Partition, s.Topic, last.end, p.End)
		case p.LeaderEpoch >= 0 && p.LeaderEpoch < last.epoch:
			return fmt.Sprintf("the leader epoch of partition %d of topic %q went back from %d to %d: the topic was made anew",
				p.Partition, s.Topic, last.epoch, p.LeaderEpoch)
		}
	}
	return ""
}

// meet makes room for partitions not seen before. One that was added to a
// known topic begins at offset 0, somewhen since the topic was last seen.
func (m *RateMeter) meet(s LagSample) {
	for _, p := range s.Partitions {
		if _, met := m.partitions[p.Partition]; met {
			continue
		}
		pm := &partitionMeter{end: -1, epoch: -1, committed: -1}
		if m.count > 0 {
			pm.end, pm.endAt, pm.committed = 0, m.seen, 0
		}
		m.partitions[p.Partition] = pm
	}
	if len(s.Partitions) > 0 {
		m.count, m.seen = len(s.Partitions), s.At
		if !s.Listed.IsZero() {
			m.seen = s.Listed
		}
	}
}

// offered computes the growth of the log ends. A partition that could not be
// read for some samples gives its mean rate since it last could.
func (m *RateMeter) offered(s LagSample) (whole, atLeast reading.Reading) {
	var rate float64
	var known int
	why := s.PartitionCount.Reason
	for _, p := range s.Partitions {
		if p.End < 0 {
			why = fmt.Sprintf("partition %d: %s", p.Partition, p.Reason)
			continue
		}
		last := m.partitions[p.Partition]
		if last.end >= 0 {
			rate += float64(p.End-last.end) / s.At.Sub(last.endAt).Seconds()
			known++
		} else {
			why = "there is no earlier sample to compare with"
		}
		last.end, last.endAt, last.epoch = p.End, s.At, p.LeaderEpoch
	}
	atLeast = reading.Of(rate, s.At)
	if known == 0 {
		atLeast = reading.Reading{Reason: why, At: s.At}
	}
	if known == len(s.Partitions) {
		return atLeast, atLeast
	}
	return reading.Reading{At: s.At, Reason: fmt.Sprintf("known for %d of %d partitions; %s", known, len(s.Partitions), why)}, atLeast
}

// serve takes over the committed offsets.
func (m *RateMeter) serve(s LagSample) {
	complete := len(s.Partitions) > 0
	for _, p := range s.Partitions {
		pm := m.partitions[p.Partition]
		if !p.CommittedKnown {
			complete, pm.behind = false, false
			continue
		}
		m.commits.observe(pm, p, s.At)
		m.served.observe(pm, p)
	}
	if complete {
		m.served.mark(s.At)
	}
}

// lagTime is how long a lag takes to work off, in seconds.
func lagTime(lag, served reading.Reading) reading.Reading {
	switch {
	case !lag.Known:
		return reading.Reading{Reason: lag.Reason, At: lag.At}
	case lag.Value == 0:
		return reading.Of(0, lag.At)
	case !served.Known:
		return reading.Reading{Reason: "the rate served is unknown: " + served.Reason, At: lag.At}
	case served.Value == 0:
		return reading.Reading{Reason: "nothing is being served", At: lag.At}
	default:
		return reading.Of(lag.Value/served.Value, lag.At)
	}
}
