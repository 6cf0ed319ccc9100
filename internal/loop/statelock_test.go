package loop

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// TestKeepLock goes through what a lock and the note of an apply may say. Only
// a lock that matches in everything, and whose holder is proven gone, is broken.
func TestKeepLock(t *testing.T) {
	self := Process{Machine: "m", Boot: "b", Host: "here", PID: 10, Started: 100}
	dead := fleet.Applying{Machine: "m", Boot: "b", Host: "here", PID: 7, Started: 70, Since: t0}
	lock := act.LockedError{ID: "id", Who: "root@here", Created: t0.Add(time.Second)}
	tests := map[string]struct {
		change  func(note *fleet.Applying, lock *act.LockedError)
		no      bool // no note
		alive   bool
		running []int
		err     error
		want    string // empty: broken
	}{
		"a dead apply's":         {},
		"its own killed apply's": {change: func(n *fleet.Applying, _ *act.LockedError) { n.PID, n.Started = 10, 100 }, alive: true},
		"of an earlier boot":     {change: func(n *fleet.Applying, _ *act.LockedError) { n.Boot = "a" }, alive: true},
		"a person's, no apply was cut": {no: true,
			want: "a person or a pipeline holds it"},
		"of a backend that doesn't tell": {change: func(_ *fleet.Applying, l *act.LockedError) { l.Who, l.Created = "", time.Time{} },
			want: "run terraform force-unlock id"},
		"taken on another host": {change: func(_ *fleet.Applying, l *act.LockedError) { l.Who = "ann@there" },
			want: "it was taken on there"},
		"older than the apply": {change: func(_ *fleet.Applying, l *act.LockedError) { l.Created = t0.Add(-time.Minute) },
			want: "older than the apply"},
		"younger than the apply can have been": {change: func(_ *fleet.Applying, l *act.LockedError) { l.Created = t0.Add(time.Hour) },
			want: "younger than the noted apply"},
		"of another machine of the same name": {change: func(n *fleet.Applying, _ *act.LockedError) { n.Machine = "other" },
			want: "on another machine"},
		"of an apply that runs": {alive: true, want: "still runs (process 7)"},
		"beside a Terraform that may hold it": {running: []int{33},
			want: "may hold it (process 33)"},
		"where processes can't be listed": {err: errors.New("no /proc"), want: "can't be told: no /proc"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			note, locked := dead, lock
			if tt.change != nil {
				tt.change(&note, &locked)
			}
			l := &Leader{LeaderConfig: LeaderConfig{
				Self: self, Service: &policy.Service{Terraform: policy.Terraform{Timeout: 15 * time.Minute}},
				Sources: Sources{
					Alive:      func(int, uint64) bool { return tt.alive },
					Terraforms: func(time.Time) ([]int, error) { return tt.running, tt.err },
				},
			}}
			s := &stateLock{leader: l, left: &note}
			if tt.no {
				s.left = nil
			}
			got := s.keep(&locked)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("left alone because %q, want %q", got, tt.want)
			}
		})
	}
}
