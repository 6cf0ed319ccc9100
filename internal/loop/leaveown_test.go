package loop

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// TestLeaveOwn says what a leader does with an order that takes its own cell,
// api-1, away.
func TestLeaveOwn(t *testing.T) {
	heardOf := func(name string) fleet.Member {
		return fleet.Member{Cell: fleet.Cell{Service: "api", Name: name, Vitals: "http://127.0.0.1:1"}, Health: fleet.Passing}
	}
	silentOne := heardOf("api-2")
	silentOne.Health, silentOne.Silent = fleet.Critical, true
	tests := map[string]struct {
		step     step
		members  []fleet.Member
		leaving  []string
		stepDown bool
		trouble  string
		names    []string // of the order as taken
		marked   []string
	}{
		"another's cell goes": {
			step:  step{Remove: []string{"api-2"}, Names: []string{"api-1"}},
			names: []string{"api-1"},
		},
		"another can lead": {
			step:    step{Remove: []string{"api-1"}, Names: []string{"api-2"}},
			members: []fleet.Member{heardOf("api-1"), heardOf("api-2")}, stepDown: true,
		},
		"the other goes too": {
			step:    step{Remove: []string{"api-1", "api-2"}, Add: []string{"api-3"}, Names: []string{"api-3"}},
			members: []fleet.Member{heardOf("api-1"), heardOf("api-2")},
			names:   []string{"api-1", "api-3"}, marked: []string{"api-1"},
		},
		"the other is silent": {
			step:    step{Remove: []string{"api-1"}, Add: []string{"api-3"}, Names: []string{"api-2", "api-3"}},
			members: []fleet.Member{heardOf("api-1"), silentOne},
			names:   []string{"api-1", "api-2", "api-3"}, marked: []string{"api-1"},
		},
		"a birth is tried again, and it is marked already": {
			step:    step{Remove: []string{"api-1"}, Add: []string{"api-4"}, Names: []string{"api-4"}},
			members: []fleet.Member{heardOf("api-1")}, leaving: []string{"api-1"},
			names: []string{"api-1", "api-4"},
		},
		"none is left but itself, leaving: a guest's turn": {
			step:    step{Remove: []string{"api-1"}},
			members: []fleet.Member{heardOf("api-1")}, leaving: []string{"api-1"}, stepDown: true,
		},
		"none can lead and none may be born": {
			step:    step{Replace: []string{"api-1"}, Names: []string{"api-1"}},
			members: []fleet.Member{heardOf("api-1")}, trouble: "nobody else can lead",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := &Leader{LeaderConfig: LeaderConfig{
				Service: &policy.Service{Name: "api"}, Holder: fleet.Holder{Service: "api", Cell: "api-1"},
			}}
			v := view{members: tt.members, leaving: map[string]fleet.Leaving{}}
			for _, cell := range tt.leaving {
				v.leaving[cell] = fleet.Leaving{Cell: cell}
			}
			got, err := l.leaveOwn(tt.step, v)
			switch {
			case errors.Is(err, ErrStepDown) != tt.stepDown:
				t.Errorf("error %v, want stepping down: %t", err, tt.stepDown)
			case tt.stepDown:
			case tt.trouble != "":
				if err == nil || !strings.Contains(err.Error(), tt.trouble) {
					t.Errorf("error %v, want %q", err, tt.trouble)
				}
			case err != nil || !slices.Equal(got.Names, tt.names) || !slices.Equal(got.Mark, tt.marked) || slices.Contains(got.Remove, "api-1"):
				t.Errorf("%+v, %v: want names %v, marked %v", got, err, tt.names, tt.marked)
			}
		})
	}
}

// TestLeaveFound says what a leader does with an order of an earlier one that
// takes its own cell, api-1, away.
func TestLeaveFound(t *testing.T) {
	heardOf := func(name string) fleet.Member {
		return fleet.Member{Cell: fleet.Cell{Service: "api", Name: name, Vitals: "http://127.0.0.1:1"}, Health: fleet.Passing}
	}
	tests := map[string]struct {
		left     guard.Order
		names    []string // of the record
		members  []fleet.Member
		stepDown bool
		want     []string
	}{
		"another's cell goes": {
			left: guard.Order{Remove: []guard.Key{"api-2"}}, names: []string{"api-1"}, members: []fleet.Member{heardOf("api-1")},
		},
		"another can lead": {
			left: guard.Order{Remove: []guard.Key{"api-1"}}, names: []string{"api-2"},
			members: []fleet.Member{heardOf("api-1"), heardOf("api-2")}, stepDown: true,
		},
		"the last one goes: a guest's turn": {
			left: guard.Order{Remove: []guard.Key{"api-1"}}, members: []fleet.Member{heardOf("api-1")}, stepDown: true,
		},
		"the others are dead": {
			left: guard.Order{Remove: []guard.Key{"api-1"}}, names: []string{"api-2"}, members: []fleet.Member{heardOf("api-1")},
			want: []string{"api-1", "api-2"},
		},
		"the other is to be made again": {
			left: guard.Order{Remove: []guard.Key{"api-1"}, Replace: []guard.Key{"api-2"}}, names: []string{"api-2"},
			members: []fleet.Member{heardOf("api-1"), heardOf("api-2")}, want: []string{"api-1", "api-2"},
		},
		"it is to be made again and the others are dead: a guest's turn": {
			left: guard.Order{Replace: []guard.Key{"api-1"}}, names: []string{"api-1", "api-2"}, members: []fleet.Member{heardOf("api-1")},
			stepDown: true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := &Leader{
				LeaderConfig: LeaderConfig{Service: &policy.Service{Name: "api"}, Holder: fleet.Holder{Service: "api", Cell: "api-1"}},
				record:       fleet.Record{Names: tt.names, Count: len(tt.names)},
			}
			got, err := l.leaveFound(tt.left, view{members: tt.members})
			if errors.Is(err, ErrStepDown) != tt.stepDown || !tt.stepDown && err != nil {
				t.Errorf("error %v, want stepping down: %t", err, tt.stepDown)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("names %v, want %v", got, tt.want)
			}
		})
	}
}
