package balance

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// uneven is a service of 16 partitions whose lag can be put where it is wanted.
func unevenService(t *testing.T) *service {
	s := newService(t, 4)
	s.obs.Partitions, s.obs.Offered = per(16), per(300)
	for range 100 {
		s.beats(1)
		s.obey()
	}
	return s
}

// One partition alone is behind: whatever is ordered, one cell reads it.
func TestHotPartitionDoesNotScaleWithoutBound(t *testing.T) {
	s := unevenService(t)
	started := s.obs.Ordered
	s.obs.Served, s.obs.BusyMax = per(300), per(0.75)
	s.beats(20)
	lag := 0.0
	for k := range 720 {
		lag += 20 * 5 // faster than its one reader
		s.obs.Lag = per(lag + 15)
		s.obs.Served, s.obs.BusyMax = per(280), per(1)
		s.obs.Laggards = []Partition{{Number: 3, Lag: lag}, {Number: 4, Lag: 1}}
		s.beats(1)
		s.obey()
		if s.obs.Ordered > 2*started {
			t.Fatalf("%d cells after %d beats, begun with %d: %s", s.obs.Ordered, k, started, s.d.Reason)
		}
	}
	s.want(s.obs.Ordered, CodeHotPartition)
	if !strings.Contains(s.d.Reason, "partition 3 is hot") {
		t.Error(s.d.Reason)
	}
	if rate := s.term("rate of a cell"); rate < 55 {
		t.Errorf("the hot cell has taught that a cell does %v/s", rate)
	}
}

// A cell whose partition keeps it busy, without any lag yet: others do nothing for it.
func TestBusyPartitionDoesNotScaleWithoutBound(t *testing.T) {
	s := unevenService(t)
	s.obs.Served, s.obs.BusyMax = per(300), per(0.75)
	s.beats(20)
	s.obey()
	started := s.obs.Ordered
	s.obs.BusyMax = per(0.99)
	for range 720 {
		s.beats(1)
		s.obey()
	}
	if s.obs.Ordered > 2*started {
		t.Errorf("%d cells, begun with %d: %s", s.obs.Ordered, started, s.d.Reason)
	}
}

// All partitions are behind: that is load, and cells help.
func TestEvenLagIsNotHot(t *testing.T) {
	s := unevenService(t)
	s.obs.Lag = per(160_000)
	for p := range 16 {
		s.obs.Laggards = append(s.obs.Laggards, Partition{Number: p, Lag: 10_000 + 100*float64(p)})
	}
	s.beats(1)
	if s.d.Code != CodeGrow || s.term("lag") != 160_000 {
		t.Errorf("%s with a lag of %v: %s", s.d.Code, s.term("lag"), s.d.Reason)
	}
}

// Nobody commits on one partition. Its lag neither buys cells nor keeps them.
func TestStuckPartition(t *testing.T) {
	s := unevenService(t)
	s.obs.Lag = per(90_000)
	s.obs.Laggards = []Partition{{Number: 7, Lag: 90_000, Still: 4 * time.Minute}}
	s.obs.Ordered, s.obs.Ready, s.obs.Served = 10, 10, per(300)
	s.beats(1)
	if note := s.note("lag"); strings.Contains(note, "stuck") {
		t.Errorf("after four minutes: %s", note)
	}
	s.obs.Laggards[0].Still = 6 * time.Minute
	s.beats(1)
	if s.term("lag") != 0 || s.d.Desired > 10 || !strings.Contains(s.note("lag"), "stuck") {
		t.Errorf("lag %v, %s; %s", s.term("lag"), s.note("lag"), s.d.Reason)
	}
	s.beats(400)
	if s.d.Desired >= 10 {
		t.Errorf("the lag of a stuck partition keeps %d cells: %s", s.d.Desired, s.d.Reason)
	}
	s.obey()
	s.beats(1)
	s.want(s.obs.Ordered, CodeStuckPartition)
	if !strings.Contains(s.d.Reason, "partition 7 is stuck: for 6m nothing was committed") {
		t.Error(s.d.Reason)
	}
}

// Readers that commit each ten minutes, or whose jobs take as long, are not stuck.
func TestSlowCommitsAreNotStuck(t *testing.T) {
	slow := func(partitions int, commits reading.Reading) *service {
		s := unevenService(t)
		s.obs.Lag, s.obs.Served, s.obs.CommitInterval = per(90_000), per(300), commits
		for p := range partitions {
			s.obs.Laggards = append(s.obs.Laggards, Partition{Number: p, Lag: 90_000 / float64(partitions), Still: 9 * time.Minute})
		}
		s.beats(1)
		return s
	}
	if s := slow(16, reading.Reading{}); s.term("lag") < 80_000 {
		t.Errorf("all partitions are taken to be stuck: %s", s.d.Reason)
	}
	if s := slow(4, per(600)); len(s.d.Reason) == 0 || strings.Contains(s.d.Reason, "stuck") {
		t.Errorf("partitions are stuck before a commit is due: %s", s.d.Reason)
	}
	if s := slow(4, per(5)); s.term("lag") != 0 {
		t.Errorf("four of sixteen partitions without a commit for nine minutes buy cells: %s", s.d.Reason)
	}
}

// Two partitions are far behind the others: two cells read them, whatever is ordered.
func TestTwoHotPartitions(t *testing.T) {
	s := unevenService(t)
	s.obs.Served, s.obs.BusyMax = per(300), per(0.75)
	s.beats(20)
	s.obs.Lag = per(100_014)
	s.obs.Laggards = []Partition{{Number: 3, Lag: 40_000}, {Number: 9, Lag: 60_000}}
	for p := range 14 {
		s.obs.Laggards = append(s.obs.Laggards, Partition{Number: 20 + p, Lag: 1})
	}
	s.beats(1)
	if got := s.term("lag"); got != 16 {
		t.Errorf("a lag of %v counts, want 16, what sixteen partitions like the fourteen have", got)
	}
	if !strings.Contains(s.d.Reason, "2 partitions are hot, number 9 most") {
		t.Error(s.d.Reason)
	}
}

// Where nobody reads at all no partition is stuck: cells are missing.
func TestNoPartitionIsStuckWhereNobodyReads(t *testing.T) {
	s := unevenService(t)
	s.obs.Lag, s.obs.Served = per(90_000), per(0)
	for p := range 16 {
		s.obs.Laggards = append(s.obs.Laggards, Partition{Number: p, Lag: 90_000. / 16, Still: time.Hour})
	}
	s.beats(1)
	if s.term("lag") != 90_000 {
		t.Error(s.d.Reason)
	}
}

// A rebalance stops reading, and what arrives meanwhile is backlog.
func TestRebalanceAddsItsLoad(t *testing.T) {
	s := newService(t, 4)
	s.obs.Offered = per(1000)
	s.beats(20)
	plain := s.term("backlog")
	s.obs.RebalancePause = per(10)
	s.beats(1)
	if got := s.term("backlog"); got < plain+9_000 {
		t.Errorf("a backlog of %v, want 10,000 more than %v", got, plain)
	}
	if s.term("moved") != 10_000 {
		t.Errorf("%v messages arrive while partitions move", s.term("moved"))
	}
}

// Where a birth takes longer than anybody waits, spares are kept.
func TestSpares(t *testing.T) {
	s := newService(t, 20)
	s.obs.Offered = per(1000)
	s.obs.BirthMedian = per(899)
	s.beats(300)
	without := s.term("wanted")
	s.obs.BirthMedian = per(1000)
	s.beats(1)
	if got := s.term("wanted"); got < without+1 {
		t.Errorf("%v cells, %v where births take 15 minutes", got, without)
	}
	if s.term("spares") < 1 {
		t.Error("no spares")
	}
}
