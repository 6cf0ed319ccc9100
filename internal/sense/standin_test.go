package sense

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
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
			if v := Combine(at, gather(&s, at, test.fail), 0.99); v.StandIns != test.stand || test.stand > 0 && v.StandInWhy != late.Error() {
				t.Errorf("%d stand-ins: %s", v.StandIns, v.StandInWhy)
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
