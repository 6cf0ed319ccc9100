package loop

import (
	"context"
	"errors"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// wordAge is how old a leader's last word may be that others go by: it is written
// each time something changes, and every wordEvery.
const wordAge = 2 * wordEvery

// tellsOf is what the last word of another service's leader says of its load.
func (l *Leader) tellsOf(ctx context.Context, service string, at time.Time) (need, load reading.Reading) {
	var w Word
	err := l.Fleet.Decision(ctx, service, &w)
	switch age := at.Sub(w.Decision.At); {
	case err != nil:
		need = reading.Unknown("%v", err)
		return need, need
	case age > wordAge:
		need = reading.Unknown("its leader's last word is %s old", age.Round(time.Second))
		return need, need
	}
	return w.Decision.Tells(at)
}

// lookInFront counts the cells of the services that need this one and can wait.
func (l *Leader) lookInFront(ctx context.Context, at time.Time) []balance.Front {
	var all []balance.Front
	for _, s := range l.Front {
		f := balance.Front{Service: s.Name, Min: boundsAt(s, at).Min}
		record, _, err := l.Fleet.Record(ctx, s.Name)
		members, err2 := l.Fleet.Members(ctx, s.Name)
		if err := errors.Join(err, err2); err != nil {
			f.Count = reading.Unknown("%v", err)
		} else {
			f.Count = reading.Of(float64(record.Count), at)
		}
		for _, m := range members {
			if m.Health != fleet.Critical {
				f.Ready++
			}
		}
		all = append(all, f)
	}
	return all
}

// neighbours are the names of the services that this one may ask for something.
func (l *Leader) neighbours() (names []string) {
	for _, s := range l.Behind {
		names = append(names, s.Name)
	}
	for _, s := range l.Front {
		names = append(names, s.Name)
	}
	return names
}

// InFront lists the services of a policy that need one and whose work can wait.
func InFront(p *policy.Policy, s *policy.Service) []*policy.Service {
	var all []*policy.Service
	for _, other := range p.Services {
		if other.Yields && other.NeedsService(s.Name) {
			all = append(all, other)
		}
	}
	return all
}
