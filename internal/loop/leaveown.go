package loop

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// A leader can't take its own cell away, nor make it anew: that would end the
// run of Terraform that does it. Another sidecar of the service does it, or a
// guest where there is none; where nobody can, the newcomer is born first.

// leaveOwn keeps a leader from ordering its own cell away. Where another
// sidecar of the service can lead, it gives up the lock and that one carries
// on. Where none can, the newcomer is born first: the own cell is marked as
// leaving, so that it counts no more, and goes in a later order. Where none may
// be born either, it is a guest's turn. It returns the step as it may be taken,
// or the marks to set before stepping down, or why nothing can be done.
func (l *Leader) leaveOwn(s step, v view) (step, error) {
	own := l.Holder.Cell
	if l.Holder.Service != l.Service.Name || !slices.Contains(slices.Concat(s.Remove, s.Replace), own) {
		return s, nil
	}
	if l.canFollow(s, v) || v.leaves(own) && len(s.Add) == 0 {
		return step{}, l.stepDown("")
	}
	if slices.Contains(s.Remove, own) {
		s.Names = append([]string{own}, s.Names...)
	}
	s.Remove, s.Replace = without(s.Remove, []string{own}), without(s.Replace, []string{own})
	if s.orders() {
		if len(s.Add) > 0 && !v.leaves(own) {
			s.Mark = append(s.Mark, own)
		}
		return s, nil
	}
	if wait := l.memory.Book.Wait(l.Now()); wait > 0 && !v.critical(own) {
		return s, fmt.Errorf("the leader's own cell %s is the one to go, nobody else can lead, and births wait %s", own, wait)
	}
	return l.toGuest(v), l.stepDown("")
}

// takesOwn reports whether an order takes the leader's own cell away, or makes
// it anew.
func (l *Leader) takesOwn(o guard.Order) bool {
	key := l.roster().key(l.Holder.Cell)
	return l.Holder.Service == l.Service.Name && l.Holder.Cell != "" &&
		slices.Contains(slices.Concat(o.Remove, o.Replace), key)
}

// leaveFound is what a leader does with an order that it found and that takes
// its own cell. Where another sidecar can lead, or only a guest could carry it
// out, it steps down, with the marks to set before. Else it places the order
// again without that: what is still to be done about its cell follows from a
// decision of its own.
func (l *Leader) leaveFound(left guard.Order, v view) (step, error) {
	r, own := l.roster(), l.Holder.Cell
	if len(r.Names) == 0 || l.canFollow(step{Names: r.Names, Replace: r.names(left.Replace)}, v) {
		return step{}, l.stepDown(" by the order found")
	}
	if l.held[own].Tainted && slices.Contains(left.Replace, r.key(own)) {
		// Terraform makes it anew with every plan, whatever is ordered.
		return l.toGuest(v), l.stepDown(", half-born,")
	}
	s := step{Names: r.keeping(own), Next: r.Next}
	if v.leaves(own) {
		s.TakeBack = []string{own}
	}
	return s, nil
}

// toGuest marks the own cell as leaving, which is how guests know that it is
// their turn though the cell is heard. A critical one needs no mark, and where
// there can be no guests it would only keep a cell from its work.
func (l *Leader) toGuest(v view) step {
	if own := l.Holder.Cell; l.Guests && !v.critical(own) && !v.leaves(own) {
		return step{Mark: []string{own}}
	}
	return step{}
}

func (l *Leader) stepDown(how string) error {
	return fmt.Errorf("its own cell %s is the one to go%s: %w", l.Holder.Cell, how, ErrStepDown)
}

// keeping returns the names of the roster with a cell that there is. With a bare
// count that takes all of a lower index along.
func (r roster) keeping(cell string) []string {
	if slices.Contains(r.Names, cell) {
		return r.Names
	}
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

// yield ends the leading of a guest once a sidecar of the service is back that
// can lead it: one that isn't itself to be taken away or made anew.
func (l *Leader) yield(v view) error {
	if l.YieldTo == nil || l.busy != "" {
		return nil
	}
	var going []string
	if l.prepared {
		left := l.pending()
		going = append(l.roster().names(slices.Concat(left.Remove, left.Replace)), l.failed...)
	}
	heirs := slices.DeleteFunc(slices.Clone(v.members), func(m fleet.Member) bool {
		return v.leaves(m.Name) || slices.Contains(going, m.Name)
	})
	if !l.YieldTo(heirs) {
		return nil
	}
	return fmt.Errorf("a sidecar of %s is back: %w", l.Service.Name, ErrStepDown)
}

// yieldAtRest is yield for a guest that doesn't look at the service otherwise:
// it is paused, or can't get ready. Whoever is there may fare better.
func (l *Leader) yieldAtRest(ctx context.Context) error {
	if l.YieldTo == nil || l.busy != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, max(l.Service.Beat, time.Second))
	defer cancel()
	var v view
	v.members, v.membersErr = l.Fleet.Members(ctx, l.Service.Name)
	if v.membersErr == nil {
		v.consulErr = v.readMarks(ctx, l.Fleet, l.Service.Name)
	}
	if v.membersErr != nil || v.consulErr != nil {
		return nil // what isn't known is no reason to go
	}
	return l.yield(v)
}
