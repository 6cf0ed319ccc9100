package loop

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// sign is what the leader saw of one cell in one beat.
type sign struct {
	Name string
	// Silent says why the cell counts as silent: its check is critical, or its
	// registration is gone. Empty while the cell is heard.
	Silent string
	// Answers is set when a silent cell's own sidecar answered the leader and
	// called its application well; Unwell when it answered and called it unwell,
	// as the check does.
	Answers, Unwell bool
	// Gone is set when the cell was looked for on its machine and is not
	// there: the process has ended, or the provider's refresh missed it.
	Gone bool
	// Missed is set when the refresh missed a cell that is heard all the same.
	Missed bool
	// Removed is set when a tombstone says that somebody took the cell away.
	Removed bool
	// Unasked is set when nobody knows where the cell's sidecar could be asked.
	Unasked bool
}

// why says in a few words what a dead cell died of.
func (s sign) why() string {
	switch {
	case s.Removed:
		return "it was removed by an apply that was no order of ours"
	case s.Gone:
		return "its process is gone"
	case s.Unwell:
		return s.Silent + ", and its own sidecar says the same"
	default:
		return s.Silent + ", and it doesn't answer"
	}
}

// signs returns what was seen of each cell of the state, for judging who is
// dead. Silent cells are asked at their own address, all at the same time.
func (l *Leader) signs(ctx context.Context, v view) []sign {
	var out []sign
	var siblings []sense.Sibling
	var asked []int // which of out the siblings are
	for _, name := range slices.Sorted(maps.Keys(l.held)) {
		s, m := l.sign(v, name)
		s.Unasked = m.Vitals == ""
		if s.Silent != "" && (!s.Gone || s.Missed) && !s.Unasked {
			siblings, asked = append(siblings, sibling(m)), append(asked, len(out))
		}
		out = append(out, s)
	}
	for i, r := range l.Sources.Vitals(ctx, siblings) {
		s := &out[asked[i]]
		// A sidecar whose vitals are old answers all the same.
		s.Answers = errors.Is(r.Err, sense.ErrStale) || r.Err == nil && r.Vitals.Well
		s.Unwell = r.Err == nil && !s.Answers
		if s.Missed && s.Answers {
			*s = sign{Name: s.Name} // it lives, and is one of the unlisted
		}
	}
	return out
}

// sign is what was seen of one cell without asking it, and how it registered
// last.
func (l *Leader) sign(v view, name string) (sign, fleet.Member) {
	s := sign{Name: name, Gone: slices.Contains(l.gone, name)}
	m, registered := v.member(name)
	if registered {
		l.lastSeen[name] = m
	} else {
		m, s.Silent = l.lastSeen[name], "its registration is gone"
	}
	if m.Health == fleet.Critical {
		s.Silent = "its check is critical: " + m.Output
	}
	if s.Gone && s.Silent == "" {
		s.Silent, s.Missed = "Terraform's refresh doesn't find it", true
	}
	if s.Silent != "" {
		s.Removed = tombstoned(v, m.Cell)
		s.Gone = s.Gone || l.Sources.Gone(m.Cell)
	}
	return s, m
}

// tombstoned reports whether somebody removed this life of the cell.
func tombstoned(v view, c fleet.Cell) bool {
	return slices.ContainsFunc(v.tombstones, func(t fleet.Tombstone) bool {
		return t.Cell == c.Name && t.Incarnation == c.Incarnation
	})
}
