package balance

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// untaught is a service whose rate of a cell is not known yet.
func untaught(t *testing.T) *service {
	s := newService(t, 4)
	s.st = State{}
	return s
}

func TestRateOfACell(t *testing.T) {
	tests := []struct {
		name  string
		set   func(*Observation)
		beats int
		want  float64 // 0: unknown
	}{
		{"served 300 by 4 cells at most 0.6 busy", func(o *Observation) { o.Served, o.BusyMax = per(300), per(0.6) }, 12, 125},
		{"not before the window is full", func(o *Observation) { o.Served, o.BusyMax = per(300), per(0.6) }, 11, 0},
		{"a window is two commits at least", func(o *Observation) {
			o.Served, o.BusyMax, o.CommitInterval = per(300), per(0.6), per(50)
		}, 19, 0},
		{"a backlog of over 30 s makes them wholly busy", func(o *Observation) { o.Served, o.Lag = per(300), per(9001) }, 12, 75},
		{"one of 30 s does not", func(o *Observation) { o.Served, o.Lag = per(300), per(9000) }, 12, 0},
		{"idle cells teach nothing", func(o *Observation) { o.Served, o.BusyMax = per(3), per(0.09) }, 12, 0},
		{"nothing served teaches nothing", func(o *Observation) { o.Served, o.BusyMax = per(0), per(1) }, 12, 0},
		{"no cell, no rate", func(o *Observation) { o.Served, o.BusyMax, o.Ready = per(300), per(0.6), 0 }, 12, 0},
		{"a busy share over 1 is 1", func(o *Observation) { o.Served, o.BusyMax = per(400), per(1.3) }, 12, 100},
		{"one that leaves has its part in what is served", func(o *Observation) {
			o.Served, o.BusyMax, o.Ready, o.Serving = per(300), per(0.6), 3, 4
		}, 12, 125},
		{"while partitions move nothing is learned", func(o *Observation) {
			o.Served, o.BusyMax, o.Rebalancing = per(300), per(0.6), true
		}, 30, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := untaught(t)
			tt.set(&s.obs)
			s.beats(tt.beats)
			if got := s.term("rate of a cell"); !near(got, tt.want) {
				t.Errorf("rate %v, want %v", got, tt.want)
			}
			if tt.want == 0 {
				s.want(4, CodeUnknownRate)
			}
		})
	}
}

func TestRateRestsForAWindowAfterARebalance(t *testing.T) {
	s := newService(t, 4)
	s.obs.Served, s.obs.BusyMax = per(200), per(1)
	s.obs.Rebalancing = true
	s.beats(3)
	s.obs.Rebalancing = false
	s.beats(11)
	if got := s.term("rate of a cell"); got != 100 {
		t.Errorf("rate %v within the window after, want the old 100", got)
	}
	s.beats(1)
	if got := s.term("rate of a cell"); got != 50 {
		t.Errorf("rate %v after it, want 50", got)
	}
}

// Served is a mean over the window, so the cells must be too: a count that has
// just doubled must not halve the rate.
func TestRateAveragesTheCells(t *testing.T) {
	s := newService(t, 2)
	s.obs.Served, s.obs.BusyMax = per(200), per(1)
	s.beats(12)
	s.obs.Ready, s.obs.Ordered = 4, 4
	for k := range 6 {
		s.obs.Served = per(200 + 200*float64(k+1)/12)
		s.beats(1)
	}
	if got := s.term("rate of a cell"); !near(got, 100) {
		t.Errorf("rate %v half a window after the count doubled, want 100", got)
	}
}

func TestRateIsKeptPerVersion(t *testing.T) {
	s := newService(t, 4)
	s.obs.Version, s.obs.Served, s.obs.BusyMax = "v1", per(200), per(1)
	s.beats(12)
	s.obs.Version, s.obs.Served = "v2", per(120)
	s.beats(1)
	s.want(4, CodeUnknownRate)
	s.beats(11)
	if got := s.term("rate of a cell"); got != 30 {
		t.Errorf("rate of v2 %v, want 30", got)
	}
	s.obs.Version = "v1"
	s.beats(1)
	if got := s.term("rate of a cell"); got != 50 {
		t.Errorf("rate of v1 %v after going back, want the 50 it had", got)
	}
	for v := range 3 * mostVersions {
		s.obs.Version = time.Duration(v).String()
		s.beats(12)
	}
	if n := len(s.st.mem.Rates); n != mostVersions {
		t.Errorf("%d versions kept, want %d", n, mostVersions)
	}
}

func TestBoundsAreKeptWithoutARate(t *testing.T) {
	s := untaught(t)
	s.cfg.Min, s.cfg.Max = 6, 9
	s.beats(1)
	s.want(6, CodeBounds)
	s.obs.Ordered = 20
	s.beats(1)
	s.want(9, CodeBounds)
	s.obs.Offered = reading.Unknown("broker gone")
	s.beats(1)
	s.want(9, CodeBounds)
}

// More cells that each do half as much are slower cells, where no partition ties the
// work to one of them.
func TestSlowerCellsOfRequestsAreBelieved(t *testing.T) {
	for requests, want := range map[bool]float64{true: 50, false: 70} {
		s := newService(t, 2)
		s.cfg.Requests, s.obs.Partitions = requests, per(16)
		s.obs.Served, s.obs.BusyMax = per(200), per(1)
		s.beats(30)
		s.obs.Ready, s.obs.Ordered = 4, 4
		s.beats(30)
		if got := s.term("rate of a cell"); !near(got, want) {
			t.Errorf("requests %v: the rate is %v, want %v", requests, got, want)
		}
	}
}
