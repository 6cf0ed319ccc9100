package loop

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// unlisted are cells of which Terraform's refresh has missed all or a part. Of one
// that doesn't live that is what its end looks like. But an infrastructure that has
// lost its books knows nothing of machines that run on, and that is no order to
// replace them: they are told of, looked for again after a while, and then given up
// no faster than others come to be in their place.
//
//	listed --missed, doesn't answer--> given up
//	  ^  |
//	  |  +--missed, answers--> told of --still missed after MassHold--> given up, at the pace
//	  +-------found again---------+
type unlisted struct {
	gone, broken []string  // missed whole, and in part, by the last look
	looked       time.Time // when that was
	since        time.Time // since when there are such that live

	due []string // who is given up now
	why string   // what is in the way of giving up the others
}

// note takes over what a plan's refresh has missed.
func (u *unlisted) note(now time.Time, gone, broken []string) {
	u.gone, u.broken, u.looked = gone, broken, now
}

// judge finds out who is given up: of the cells, living are those unlisted ones that
// answer. settled says that nothing is on its way, and all others take work.
func (u *unlisted) judge(now time.Time, hold time.Duration, cells, living []string, settled bool) {
	// Who is missed whole and doesn't answer is for the death watch.
	u.due, u.why = without(intersect(u.broken, cells), living), ""
	if len(living) == 0 {
		u.since = time.Time{}
	} else if u.since.IsZero() {
		u.since = now
	}
	until := u.since.Add(hold)
	missed := fmt.Sprintf("Terraform's refresh misses %s, or a part of it, and it answers: the infrastructure may have lost its books, or be another", strings.Join(living, ", "))
	switch pace := replacePace(len(cells)); {
	case len(living) == 0:
	case now.Before(until) || u.looked.Before(until):
		u.why = fmt.Sprintf("%s. None is replaced before %s", missed, until.UTC().Format(time.TimeOnly))
	case !settled:
		u.why = fmt.Sprintf("%s. They are replaced %d at a time, once all others take work", missed, pace)
	default:
		u.due = append(u.due, living[:min(pace, len(living))]...)
	}
}

// stale reports whether it must be looked again before anyone is given up.
func (u *unlisted) stale(now time.Time, hold time.Duration) bool {
	until := u.since.Add(hold)
	return !u.since.IsZero() && !now.Before(until) && u.looked.Before(until)
}

// judgeUnlisted judges the cells that the last refresh has missed.
func (l *Leader) judgeUnlisted(ctx context.Context, v view) {
	u, cells := &l.unlisted, slices.Sorted(maps.Keys(l.held))
	living := l.answering(ctx, v, intersect(cells, slices.Concat(u.gone, u.broken)))
	was := u.why
	u.judge(l.Now(), l.Service.Replace.MassHold, cells, living, l.pending().Size() == 0 && l.passing(v, without(l.cells(), living)))
	if u.why != "" && was == "" {
		l.Log.Warn("cells that live are missed by Terraform's refresh", "cells", living, "why", u.why)
	}
	if u.stale(l.Now(), l.Service.Replace.MassHold) {
		l.debt.due, l.debt.retry = true, time.Time{}
		l.oweShardsOf(slices.Concat(u.gone, u.broken))
	}
}

// answering are those of the cells that are heard and whose own sidecar answers.
func (l *Leader) answering(ctx context.Context, v view, names []string) (living []string) {
	ctx, cancel := context.WithTimeout(ctx, l.Service.Beat)
	defer cancel()
	var siblings []sense.Sibling
	var asked []string
	for _, name := range names {
		if s, m := l.sign(v, name); (s.Silent == "" || s.Missed) && m.Vitals != "" {
			siblings, asked = append(siblings, sibling(m)), append(asked, name)
		}
	}
	for i, r := range l.Sources.Vitals(ctx, siblings) {
		if r.Err == nil && r.Vitals.Well || errors.Is(r.Err, sense.ErrStale) {
			living = append(living, asked[i])
		}
	}
	return living
}
