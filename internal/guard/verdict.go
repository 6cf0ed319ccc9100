package guard

import (
	"fmt"
	"slices"
	"strings"
)

// Limits bound what one apply may do, whatever was ordered.
type Limits struct {
	// Destroys is the most that one apply may destroy: cells removed or
	// replaced that are still there, old objects left over from earlier
	// replacements, and what goes with the last cell. 0 sets no limit.
	Destroys int
	// MayChange lists addresses that may be updated in place at any time. A
	// module's address covers all that is in it, an address without a key all
	// its instances, and [*] stands for any key.
	MayChange []string
}

// Verdict is the guard's answer to a plan.
type Verdict struct {
	// OK says that the plan does the order, all of it and nothing else.
	OK bool
	// Refused lists what may not be done, ordered by address.
	Refused []Refusal
	// Elsewhere says that nothing is refused of what the order changes, so that
	// a plan limited to Targets may pass. What is refused is then Foreign, which
	// lies outside the cells, or mends a cell that is lost but not ordered yet.
	Elsewhere bool
	Foreign   []Refusal
	// Targets are the addresses of the order's cells and of the dependents
	// learned with them, as -target takes them; without those dependents that are
	// refused, and without any while cells are lost, which -target would take
	// along with them.
	Targets []string
	// NeedFullPlan says that the JSON stream can't tell; JudgeFull must be
	// asked with the whole plan. Doubts say why.
	NeedFullPlan bool
	Doubts       []string
	// Gone are cells of which the refresh found nothing left.
	Gone []Key
	// Broken are cells of which the refresh found a part gone and a part there.
	Broken []Key
	// Destroys is what counts against Limits.Destroys.
	Destroys int
}

// Refusal is one reason why a plan may not be applied.
type Refusal struct {
	Address string // empty where the plan lacks something
	Action  string // create, update, replace, delete, forget, import, move, ...
	Why     string // a sentence's second half: "would ..., but ..."
	Cell    Key    // the cell it would happen to; empty outside the cells
	// Lost is set where the order keeps a cell that is lost, by the order's own
	// word, or since a part of it is gone or was half made.
	Lost bool
}

func (r Refusal) String() string {
	if r.Address == "" {
		return r.Why
	}
	return fmt.Sprintf("%s: %s: %s", r.Address, r.Action, r.Why)
}

// Reason puts the refusals in one line for a log, the first three in full.
func (v Verdict) Reason() string {
	if v.OK {
		return "the plan does what was ordered and nothing else"
	}
	if len(v.Refused) == 0 {
		return "the plan's stream can't tell: " + strings.Join(v.Doubts, "; ")
	}
	var parts []string
	for i, r := range v.Refused {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("and %d more", len(v.Refused)-i))
			break
		}
		parts = append(parts, r.String())
	}
	return strings.Join(parts, "; ")
}

func (v *Verdict) refuse(address, action string, cell Key, format string, args ...any) {
	v.Refused = append(v.Refused, Refusal{Address: address, Action: action, Cell: cell, Why: fmt.Sprintf(format, args...)})
}

func (v *Verdict) doubt(format string, args ...any) {
	v.NeedFullPlan = true
	v.Doubts = append(v.Doubts, fmt.Sprintf(format, args...))
}

// settle sorts what was found, so that a verdict does not depend on the order
// in which Terraform reported the changes, and draws the conclusions.
func (v *Verdict) settle() {
	slices.SortFunc(v.Refused, func(a, b Refusal) int {
		return strings.Compare(a.Address+"\x00"+a.Action+"\x00"+a.Why, b.Address+"\x00"+b.Action+"\x00"+b.Why)
	})
	v.Refused = slices.Compact(v.Refused)
	slices.Sort(v.Doubts)
	v.Doubts = slices.Compact(v.Doubts)
	v.Gone, v.Broken = sortKeys(v.Gone), sortKeys(v.Broken)
	v.OK = len(v.Refused) == 0 && !v.NeedFullPlan
	v.Elsewhere = len(v.Refused) > 0
	for _, r := range v.Refused {
		switch {
		case r.Address != "" && r.Cell == "":
			v.Foreign = append(v.Foreign, r)
		case !r.Lost:
			v.Elsewhere = false
		}
	}
}
