package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// lookBehind sees how the services fare that this one needs. Each of them is in
// the answer: what could not be seen of it is unknown.
func (l *Leader) lookBehind(ctx context.Context, at time.Time) []balance.Behind {
	all := make([]balance.Behind, len(l.Behind))
	var g errgroup.Group
	for i, s := range l.Behind {
		g.Go(func() error {
			all[i] = l.lookAt(ctx, s, at)
			return nil
		})
	}
	_ = g.Wait() // what could not be seen is in each
	return all
}

func (l *Leader) lookAt(ctx context.Context, s *policy.Service, at time.Time) balance.Behind {
	b := balance.Behind{Service: s.Name, Max: boundsAt(s, at).Max, Room: reading.Unknown("its cells don't measure it")}
	b.Need, b.Load = b.Room, b.Room
	record, _, err := l.Fleet.Record(ctx, s.Name)
	switch {
	case errors.Is(err, fleet.ErrNoRecord):
		b.Count = reading.Unknown("it has no record: nobody leads it")
	case err != nil:
		b.Count = reading.Unknown("%v", err)
	default:
		b.Count = reading.Of(float64(record.Count), at)
	}
	if answers, err := l.Fleet.Answers(ctx, s.Name); err == nil {
		b.Answer = answers[l.Service.Name].Reason
	}
	members, err := l.Fleet.Members(ctx, s.Name)
	marks, err2 := l.Fleet.Leaving(ctx, s.Name)
	if err := errors.Join(err, err2); err != nil {
		b.Room = reading.Unknown("%v", err)
		return b
	}
	var siblings []sense.Sibling
	for _, m := range members {
		leaves := slices.ContainsFunc(marks, func(l fleet.Leaving) bool { return l.Cell == m.Name })
		if m.Health == fleet.Critical || leaves { // one that is emptied has room for nobody
			continue
		}
		b.Ready++
		if m.Vitals != "" {
			siblings = append(siblings, sibling(m))
		}
	}
	if s.Postgres != nil {
		b.Room, b.Cause = roomOf(at, l.Sources.Vitals(ctx, siblings), b.Ready)
		b.Load = reading.Unknown("databases don't tell a rate")
		if b.Need = b.Room; b.Room.Known {
			b.Need.Value = (1 - b.Room.Value) * float64(b.Ready) // the used part of the cell that has most left
		}
		return b
	}
	b.Need, b.Load = l.tellsOf(ctx, s.Name, at)
	return b
}

// roomOf is the most room that one of a service's databases has. Some room is
// known from one that has it; that there is none only from all.
func roomOf(at time.Time, results []sense.Result, ready int) (room reading.Reading, cause string) {
	known, most, missing := 0, 0.0, "no cell of it takes work"
	for _, r := range results {
		switch {
		case r.Err != nil:
			missing = r.Err.Error()
		case r.Vitals.Database == nil:
			missing = r.Cell + " tells nothing of its database"
		case !r.Vitals.Database.Room.Known:
			missing = fmt.Sprintf("%s: %s", r.Cell, r.Vitals.Database.Room.Reason)
		default:
			if d := r.Vitals.Database; known == 0 || d.Room.Value > most {
				most, cause = d.Room.Value, r.Cell+": "+d.Cause
			}
			known++
		}
	}
	if most > 0 || known > 0 && known == ready {
		return reading.Of(most, at), cause
	}
	return reading.Reading{Reason: missing, At: at}, ""
}
