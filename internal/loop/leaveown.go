package loop

import (
	"fmt"
	"slices"
)

// leaveOwn keeps a leader from ordering its own cell away. Where another
// sidecar of the service can lead, it gives up the lock and that one carries
// on. Where none can, the newcomer is born first and the leader's own cell goes
// in a later order. It returns the step as it may be taken, and what is in the
// way of the rest, if anything is.
func (l *Leader) leaveOwn(s step, v view) (step, string, error) {
	own := l.Holder.Cell
	if l.Holder.Service != l.Service.Name || !slices.Contains(slices.Concat(s.Remove, s.Replace), own) {
		return s, "", nil
	}
	_, leaving := v.leaving[own]
	if leaving || l.canFollow(s, v) {
		// A cell marked as leaving is no obstacle to a guest either.
		return s, "", fmt.Errorf("its own cell %s is the one to go: %w", own, ErrStepDown)
	}
	if slices.Contains(s.Remove, own) {
		s.Names = append([]string{own}, s.Names...)
	}
	s.Remove, s.Replace = without(s.Remove, []string{own}), without(s.Replace, []string{own})
	if s.orders() {
		return s, "", nil
	}
	return s, fmt.Sprintf("the leader's own cell %s is the one to go, nobody else can lead, and no newcomer may be born now", own), nil
}

// canFollow reports whether another sidecar of the service is heard that
// doesn't go itself, and so can take the lock.
func (l *Leader) canFollow(s step, v view) bool {
	for _, m := range v.members {
		if m.Name != l.Holder.Cell && !m.Silent && m.Vitals != "" && slices.Contains(s.Names, m.Name) && !slices.Contains(s.Replace, m.Name) {
			return true
		}
	}
	return false
}
