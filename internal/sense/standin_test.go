package sense

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// TestStandIns has siblings fall silent, and looks at what stands in for them.
func TestStandIns(t *testing.T) {
	begin, age := time.Unix(1000, 0), 15*time.Second
	siblings := make([]Sibling, 20)
	for i := range siblings {
		siblings[i] = Sibling{Service: "api", Cell: fmt.Sprintf("api-%d", i), Incarnation: "a1"}
	}
	late, refused := fmt.Errorf("ask: %w", context.DeadlineExceeded), errors.New("connection refused")
	gather := func(s *StandIns, at time.Time, fail map[int]error) []Result {
		results := make([]Result, len(siblings))
		for i, sib := range siblings {
			results[i] = Result{Sibling: sib, Err: fail[i]}
			if fail[i] == nil {
				results[i].Vitals = Vitals{Cell: sib.Cell, At: at}
			}
		}
		s.Fill(results, at, age)
		return results
	}
	for name, test := range map[string]struct {
		fail  map[int]error
		after time.Duration
		stand int
	}{
		"two of twenty":            {map[int]error{3: late, 7: late}, 5 * time.Second, 2},
		"for three beats":          {map[int]error{3: late}, 15 * time.Second, 1},
		"no longer":                {map[int]error{3: late}, 16 * time.Second, 0},
		"not for one that is gone": {map[int]error{3: refused}, 5 * time.Second, 0},
		"not for many":             {map[int]error{3: late, 7: late, 9: late}, 5 * time.Second, 0},
		"one late, one gone":       {map[int]error{3: late, 7: refused}, 5 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var s StandIns
			gather(&s, begin, nil)
			at := begin.Add(test.after)
			var stand int
			for i, r := range gather(&s, at, test.fail) {
				switch {
				case r.Old != nil:
					stand++
					if r.Err != nil || r.Vitals.Cell != r.Cell || r.Vitals.Age != test.after {
						t.Errorf("%+v", r)
					}
				case (r.Err != nil) != (test.fail[i] != nil):
					t.Errorf("%d: %v", i, r.Err)
				}
			}
			if stand != test.stand {
				t.Errorf("%d stand-ins, want %d", stand, test.stand)
			}
			if v := Combine(at, gather(&s, at, test.fail), 0.99); v.Silent.Cells != test.stand || test.stand > 0 && v.Silent.Why != late.Error() {
				t.Errorf("%+v", v.Silent)
			}
		})
	}
}

// TestStandInIsOfTheSameLife: a new incarnation has no past.
func TestStandInIsOfTheSameLife(t *testing.T) {
	var s StandIns
	old := make([]Result, 10)
	for i := range old {
		old[i] = Result{Sibling: Sibling{Cell: fmt.Sprint(i), Incarnation: "a"}, Vitals: Vitals{At: time.Unix(0, 0)}}
	}
	s.Fill(old, time.Unix(0, 0), time.Minute)
	old[0] = Result{Sibling: Sibling{Cell: "0", Incarnation: "b"}, Err: context.DeadlineExceeded}
	if s.Fill(old, time.Unix(5, 0), time.Minute); old[0].Err == nil {
		t.Error("the vitals of another life stood in")
	}
}

// TestSilentAtWorst tells what those that stand in leave open: their part, how busy they
// were and how long ago, and the quantile if all of their requests were the slowest.
func TestSilentAtWorst(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		silent int
		known  bool
	}{{0, false}, {1, true}, {2, true}, {3, false}} { // of 200: one in a hundred is 2
		results := make([]Result, 200)
		for i := range results {
			v := &results[i].Vitals
			*v = Vitals{Ready: true, Served: reading.Of(10, at), Busy: reading.Of(0.5, at), InFlight: reading.Of(3, at)}
			v.Latency = &Increase{Bounds: []float64{0.1, 1}, Counts: []float64{100, 0, 0}}
			if i < c.silent {
				v.Age, v.Busy = time.Duration(i+1)*5*time.Second, reading.Of(0.6+0.1*float64(i), at)
				results[i].Old = fmt.Errorf("cell %d is late", i)
			}
		}
		v := Combine(at, results, 0.99)
		if !v.Latency.Value.Known || v.Latency.Value.Value > 0.1 {
			t.Errorf("%d silent: latency %+v", c.silent, v.Latency)
		}
		s := v.Silent
		if s.Latency.Known != c.known || c.known && s.Latency.Value > 0.1 {
			t.Errorf("%d silent: latency at worst %+v", c.silent, s.Latency)
		}
		busy := 0.0
		if c.silent > 0 {
			busy = 0.6 + 0.1*float64(c.silent-1)
		}
		if s.Cells != c.silent || s.Served != 10*float64(c.silent) || s.Busy != busy || s.Age != time.Duration(c.silent)*5*time.Second || (s.Why == "") != (c.silent == 0) {
			t.Errorf("%d silent: %+v", c.silent, s)
		}
	}
}

// What one that is silent had in hand may be done.
func TestStandInHasNothingInHand(t *testing.T) {
	var s StandIns
	all := make([]Result, 10)
	for i := range all {
		all[i] = Result{Sibling: Sibling{Cell: fmt.Sprint(i)}, Vitals: Vitals{InFlight: reading.Of(3, time.Unix(0, 0)), At: time.Unix(0, 0)}}
	}
	s.Fill(all, time.Unix(0, 0), time.Minute)
	all[0].Vitals, all[0].Err = Vitals{}, context.DeadlineExceeded
	s.Fill(all, time.Unix(5, 0), time.Minute)
	if v := Combine(time.Unix(5, 0), all, 0.99); !v.InFlight.Value.Known || v.InFlight.Value.Value != 27 || v.Silent.Cells != 1 {
		t.Errorf("%+v in flight", v.InFlight)
	}
}
