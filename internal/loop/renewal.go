package loop

import (
	"context"
	"fmt"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Renewal makes mutants, and likewise cells that stay slow, into cells of the published genome, some at a time, and
// never fewer than there should be:
//
//	newcomers are ordered beside the cells desired
//	     | all of them passing
//	as many mutants are marked, drain and go
//	     | gone
//	from the beginning, until no mutant is left
//
// Where max leaves no room for a newcomer, one mutant goes first, unless that
// were fewer than min. The first newcomer that fails stops all of it. The law is
// told of none of this: the surge, how many cells there are beside those it
// wants (or fewer), stands in the record and is taken off what it sees.

// forRenewal is the reason in the mark of a cell that leaves to be renewed.
const forRenewal = "renewed: it is of another genome than the one published"

// forSlowness is the reason in the mark of one that leaves because it is slow.
const forSlowness = "renewed: it stays slower than its siblings"

// takePublished writes into the record what was published since, so that all
// leaders after this one go by it.
func (l *Leader) takePublished(ctx context.Context, v view) error {
	p, next := v.published, l.record
	if p == nil || l.busy != "" {
		return nil
	}
	if next.Halt != nil && (next.Halt.Genome != p.Genome || p.At.After(next.Halt.At)) {
		next.Halt = nil
	}
	if p.Bundle == next.Bundle && p.Genome == next.Genome && next.Halt == l.record.Halt {
		return nil
	}
	next.Bundle, next.Genome = p.Bundle, p.Genome
	if err := l.putRecord(ctx, next); err != nil {
		return err
	}
	l.Log.Info("the service goes by what was published", "bundle", p.Bundle, "genome", p.Genome, "by", p.By, "at", p.At)
	return nil
}

// mutants are the cells of another genome than the record's, as they registered
// last.
func (l *Leader) mutants(v view) []string {
	if l.record.Genome == "" {
		return nil
	}
	var all []string
	for _, name := range l.cells() {
		m, known := v.member(name)
		if !known {
			m, known = l.lastSeen[name]
		}
		if known && m.Genome != l.record.Genome {
			all = append(all, name)
		}
	}
	return all
}

// outgoing are the cells to be renewed, mutants and those that stay slow, with
// how many are renewed side by side. While a renewal is stopped, or there is none,
// only the slow ones go.
func (l *Leader) outgoing(v view) (names []string, pace int) {
	mutants, slow, pace := l.mutants(v), l.slowDue(v), l.Service.Renew.AtOnce
	if len(slow) > 0 && (len(mutants) == 0 || pace == 0 || l.halted()) {
		return slow, len(slow)
	}
	return append(mutants, without(slow, mutants)...), pace
}

// surge is how many more cells there are than the law wants, because others are
// renewed; below zero where one had to go first. The mark of a cell that is being
// taken away is still there, and counts no more: the order for it has paid it off.
func (l *Leader) surge(v view) int {
	n := l.record.Surge
	for name, mark := range v.leaving {
		if (mark.Reason == forRenewal || mark.Reason == forSlowness) && slices.Contains(l.cells(), name) {
			n--
		}
	}
	return n
}

// renew adds to the wish what renews mutants. It returns what is in the way of
// that, if anything is.
func (l *Leader) renew(w *wish, v view) string {
	mutants, pace := l.outgoing(v)
	w.Retire = max(0, l.surge(v)) // also where nothing more is renewed
	if len(mutants) == 0 || pace == 0 {
		return ""
	}
	if l.roster().keepsNames() { // then only mutants are among them
		return fmt.Sprintf("%d cells are of another genome and keep their names: renew each by hand with terraform apply -replace", len(mutants))
	}
	w.Renew = min(pace, len(mutants))
	if l.halted() && len(l.slowDue(v)) == 0 {
		return fmt.Sprintf("the renewal is stopped: %s; publish another genome, or the one before%s", l.record.Halt.Reason, l.wayBack(v))
	}
	staying := without(l.cells(), w.Leaving)
	more := len(staying) - w.Desired
	full := w.Held >= w.Max
	switch {
	case len(intersect(mutants, w.Leaving)) > 0:
		// They go first. Where they had to, nobody takes their place before.
		if full && more < 0 {
			w.Desired = max(l.bounds().Min, len(staying))
		}
	case !l.passing(v, without(staying, mutants)):
		w.Surge = max(0, min(more, w.Renew))
	case more >= w.Renew || more > 0 && full:
		w.Retire = min(more, w.Renew) // for the newcomers that are there
	case !full:
		w.Surge = w.Renew
	case w.Desired > l.bounds().Min:
		w.Desired--
		w.Retire = 1
	default:
		return fmt.Sprintf("%d cells are to be renewed, and max = %d leaves no room for a newcomer while min = %d allows none fewer", len(mutants), w.Max, l.bounds().Min)
	}
	return ""
}

// passing reports whether cells are all known to take work. One that is spared
// only because it is slow does.
func (l *Leader) passing(v view, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		m, known := v.member(name)
		_, slow := v.slow[name]
		return !known || m.Health != fleet.Passing && !(slow && m.Health == fleet.Warning)
	})
}

func (l *Leader) halted() bool {
	return l.record.Halt != nil && l.record.Halt.Genome == l.record.Genome
}

// wayBack is how to publish what was published before, where something was.
func (l *Leader) wayBack(v view) string {
	if v.published == nil || v.published.Before == "" {
		return ""
	}
	return fmt.Sprintf(": homeostat publish -digest %s %s", v.published.Before, l.Service.Name)
}

// stillborn stops the renewal when newcomers of the genome that is brought in
// didn't come to live, or didn't live on.
func (l *Leader) stillborn(newcomers []string, why string) {
	if len(newcomers) == 0 || l.Service.Renew.AtOnce == 0 || l.halted() || len(l.mutants(l.seen)) == 0 {
		return
	}
	l.record.Halt = &fleet.Halt{Genome: l.record.Genome, Reason: fmt.Sprintf("%s, of the new genome: %s", newcomers[0], why), At: l.Now().UTC()}
	l.unwritten = true
	l.Log.Error("renewal stopped at the first newcomer that failed; the old cells serve on",
		"cell", newcomers[0], "why", why, "genome", l.record.Genome)
}

// ofNewGenome are those of the cells that were born of the record's genome.
func (l *Leader) ofNewGenome(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return l.record.Genome == "" || l.lastSeen[name].Genome != l.record.Genome
	})
}
