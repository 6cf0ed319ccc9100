package loop

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// TestLeaveOwn says what a leader does with an order that takes its own cell,
// api-1, away.
func TestLeaveOwn(t *testing.T) {
	heardOf := func(name string) fleet.Member {
		return fleet.Member{Cell: fleet.Cell{Service: "api", Name: name, Vitals: "http://127.0.0.1:1"}, Health: fleet.Passing}
	}
	hung := heardOf("api-1")
	hung.Health = fleet.Critical
	silentOne := heardOf("api-2")
	silentOne.Health, silentOne.Silent = fleet.Critical, true
	tests := map[string]struct {
		step     step
		members  []fleet.Member
		leaving  []string
		wait     bool // births wait
		noGuests bool
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
		"none can lead and none may be born: a guest's turn": {
			step:    step{Replace: []string{"api-1"}, Names: []string{"api-1"}},
			members: []fleet.Member{heardOf("api-1")}, stepDown: true, marked: []string{"api-1"},
		},
		"the same without guests: it goes on with its work": {
			step:    step{Replace: []string{"api-1"}, Names: []string{"api-1"}},
			members: []fleet.Member{heardOf("api-1")}, noGuests: true, stepDown: true,
		},
		"the same, and it is hung, which guests see": {
			step:    step{Replace: []string{"api-1"}, Names: []string{"api-1"}},
			members: []fleet.Member{hung}, wait: true, stepDown: true,
		},
		"none can lead and births wait": {
			step:    step{Remove: []string{"api-1"}},
			members: []fleet.Member{heardOf("api-1")}, wait: true, trouble: "births wait",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := &Leader{LeaderConfig: LeaderConfig{
				Service: &policy.Service{Name: "api"}, Holder: fleet.Holder{Service: "api", Cell: "api-1"}, Now: time.Now, Guests: !tt.noGuests,
			}}
			if tt.wait {
				l.memory.Book.Until = time.Now().Add(time.Hour)
			}
			v := view{members: tt.members, leaving: map[string]fleet.Leaving{}}
			for _, cell := range tt.leaving {
				v.leaving[cell] = fleet.Leaving{Cell: cell}
			}
			got, err := l.leaveOwn(tt.step, v)
			switch {
			case errors.Is(err, ErrStepDown) != tt.stepDown:
				t.Errorf("error %v, want stepping down: %t", err, tt.stepDown)
			case tt.stepDown:
				if got.orders() || !slices.Equal(got.Mark, tt.marked) {
					t.Errorf("%+v, want nothing but the marks %v", got, tt.marked)
				}
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
// takes its own cell, api-1.
func TestLeaveFound(t *testing.T) {
	both := []string{"api-1", "api-2"}
	tests := map[string]struct {
		order    fleet.Order
		names    []string // of the record
		tainted  string
		members  []string
		leaving  []string
		other    bool // the order is none of the own cell's
		stepDown bool
		want     step
	}{
		"another's cell goes": {
			order: fleet.Order{Remove: []string{"api-2"}}, names: []string{"api-1"}, members: both, other: true,
		},
		"another can lead": {
			order: fleet.Order{Remove: []string{"api-1"}}, names: []string{"api-2"}, members: both, stepDown: true,
		},
		"the last one goes: a guest's turn": {
			order: fleet.Order{Remove: []string{"api-1"}}, members: []string{"api-1"}, stepDown: true,
		},
		"the others are dead": {
			order: fleet.Order{Remove: []string{"api-1"}}, names: []string{"api-2"}, members: []string{"api-1"}, leaving: []string{"api-1"},
			want: step{Names: both, TakeBack: []string{"api-1"}},
		},
		"the other is to be made again": {
			order: fleet.Order{Remove: []string{"api-1"}, Replace: []string{"api-2"}}, names: []string{"api-2"}, members: both,
			want: step{Names: both},
		},
		"it is to be made again and is alone: it lives, so it stays": {
			order: fleet.Order{Replace: []string{"api-1"}}, names: both, members: []string{"api-1"},
			want: step{Names: both},
		},
		"it was made again and that wasn't written down": {
			order: fleet.Order{Replace: []string{"api-1"}, Add: []fleet.Newborn{{Name: "api-1", Incarnation: "api-1's"}}},
			names: []string{"api-1"}, members: []string{"api-1"}, other: true,
		},
		"it was made again only by half: a guest's turn, by a mark": {
			order: fleet.Order{Replace: []string{"api-1"}, Add: []fleet.Newborn{{Name: "api-1", Incarnation: "api-1's"}}},
			names: []string{"api-1"}, members: []string{"api-1"}, tainted: "api-1",
			stepDown: true, want: step{Mark: []string{"api-1"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := &Leader{
				LeaderConfig: LeaderConfig{
					Service: &policy.Service{Name: "api", HoldsData: true}, Holder: fleet.Holder{Service: "api", Cell: "api-1"}, Guests: true,
				},
				record: fleet.Record{Names: tt.names, Count: len(tt.names), Orders: []fleet.Order{tt.order}},
				held:   map[string]heldCell{},
			}
			for _, name := range both {
				l.held[name] = heldCell{Tainted: name == tt.tainted}
			}
			v := view{leaving: map[string]fleet.Leaving{}}
			for _, name := range tt.members {
				v.members = append(v.members, fleet.Member{
					Cell:   fleet.Cell{Service: "api", Name: name, Incarnation: name + "'s", Vitals: "http://127.0.0.1:1"},
					Health: fleet.Passing,
				})
			}
			for _, name := range tt.leaving {
				v.leaving[name] = fleet.Leaving{Cell: name}
			}
			l.seen = v
			left := l.pending()
			if l.takesOwn(left) == tt.other {
				t.Fatalf("taken for an order of its own cell: %t; %+v", !tt.other, left)
			}
			if tt.other {
				return
			}
			got, err := l.leaveFound(left, v)
			if errors.Is(err, ErrStepDown) != tt.stepDown || !tt.stepDown && err != nil {
				t.Errorf("error %v, want stepping down: %t", err, tt.stepDown)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestDropped has an order take up one birth of two that were ordered before.
func TestDropped(t *testing.T) {
	earlier := []fleet.Order{{Add: []fleet.Newborn{{Name: "api-1"}, {Name: "api-2"}}}, {Add: []fleet.Newborn{{Name: "api-3"}}}}
	if got := dropped(earlier, []fleet.Newborn{{Name: "api-2"}, {Name: "api-4"}}); !slices.Equal(got, []string{"api-1", "api-3"}) {
		t.Errorf("dropped %v", got)
	}
}

// TestYield says when a guest gives the lock of api back.
func TestYield(t *testing.T) {
	tests := map[string]struct {
		health  fleet.Health
		order   fleet.Order
		tainted bool
		marked  bool
		busy    string
		want    bool
	}{
		"its cell passes":                        {health: fleet.Passing, want: true},
		"while the worker works":                 {health: fleet.Passing, busy: "order 1"},
		"its cell is unwell":                     {health: fleet.Critical},
		"its cell leaves":                        {health: fleet.Passing, marked: true},
		"its cell is half-born":                  {health: fleet.Passing, tainted: true},
		"its earlier life is to be made anew":    {health: fleet.Passing, order: fleet.Order{Replace: []string{"api-1"}}},
		"its cell was made anew, not noted down": {health: fleet.Passing, order: fleet.Order{Replace: []string{"api-1"}, Add: []fleet.Newborn{{Name: "api-1", Incarnation: "one"}}}, want: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := &Leader{
				LeaderConfig: LeaderConfig{
					Service: &policy.Service{Name: "api", HoldsData: true},
					YieldTo: (&Stander{Guest: true}).yield(),
				},
				record: fleet.Record{Names: []string{"api-1"}, Count: 1, Orders: []fleet.Order{tt.order}},
				held:   map[string]heldCell{"api-1": {Tainted: tt.tainted}},
				busy:   tt.busy, prepared: true,
			}
			v := view{members: []fleet.Member{{Cell: fleet.Cell{Service: "api", Name: "api-1", Incarnation: "one"}, Health: tt.health}}}
			if tt.marked {
				v.leaving = map[string]fleet.Leaving{"api-1": {Cell: "api-1"}}
			}
			l.seen = v
			if err := l.yield(v); errors.Is(err, ErrStepDown) != tt.want {
				t.Errorf("error %v, want stepping down: %t", err, tt.want)
			}
		})
	}
}
