package loop

import (
	"fmt"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// leaveOwn keeps a leader from ordering its own cell away. Where another
// sidecar of the service can lead, it gives up the lock and that one carries
// on. Where none can, the newcomer is born first: the own cell is marked as
// leaving, so that it counts no more, and goes in a later order. It returns the
// step as it may be taken, or why it can't be.
func (l *Leader) leaveOwn(s step, v view) (step, error) {
	own := l.Holder.Cell
	if l.Holder.Service != l.Service.Name || !slices.Contains(slices.Concat(s.Remove, s.Replace), own) {
		return s, nil
	}
	_, leaving := v.leaving[own]
	if l.canFollow(s, v) || leaving && len(s.Add) == 0 {
		// A guest takes over where all that is left of a service is leaving.
		return s, fmt.Errorf("its own cell %s is the one to go: %w", own, ErrStepDown)
	}
	if slices.Contains(s.Remove, own) {
		s.Names = append([]string{own}, s.Names...)
	}
	s.Remove, s.Replace = without(s.Remove, []string{own}), without(s.Replace, []string{own})
	if !s.orders() {
		return s, fmt.Errorf("the leader's own cell %s is the one to go, nobody else can lead, and no newcomer may be born now", own)
	}
	if !leaving && len(s.Add) > 0 {
		s.Mark = append(s.Mark, own)
	}
	return s, nil
}

// leaveFound keeps a leader from carrying out an order that it found and that
// takes its own cell away, or makes it anew, which it can't. Where another
// sidecar can lead, or only a guest could carry it out, it gives up the lock.
// Else it returns the names of an order that keeps the own cell until another
// can lead. It returns nothing where the order doesn't touch the own cell.
func (l *Leader) leaveFound(left guard.Order, v view) ([]string, error) {
	r, own := l.roster(), l.Holder.Cell
	key := r.key(own)
	removed := slices.Contains(left.Remove, key)
	if l.Holder.Service != l.Service.Name || !removed && !slices.Contains(left.Replace, key) {
		return nil, nil
	}
	next := step{Names: r.Names}
	for _, k := range left.Replace {
		next.Replace = append(next.Replace, r.name(k))
	}
	if !removed || len(r.Names) == 0 || l.canFollow(next, v) {
		return nil, fmt.Errorf("its own cell %s is the one to go by the order found: %w", own, ErrStepDown)
	}
	return r.keeping(own), nil
}

// keeping returns the names of the roster with one more cell that there is. With
// a bare count that takes all of a lower index along.
func (r roster) keeping(cell string) []string {
	if r.Named {
		return append([]string{cell}, r.Names...)
	}
	var names []string
	highest, _ := cellNumber(r.Service, cell)
	for i := range highest + 1 {
		names = append(names, cellName(r.Service, i))
	}
	return names
}

// canFollow reports whether another sidecar of the service is heard that
// doesn't go itself, and so can take the lock.
func (l *Leader) canFollow(s step, v view) bool {
	return slices.ContainsFunc(without(s.Names, s.Replace, []string{l.Holder.Cell}), func(name string) bool {
		m, registered := v.member(name)
		return registered && !m.Silent && m.Vitals != ""
	})
}
