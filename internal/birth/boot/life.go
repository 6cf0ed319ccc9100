package boot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/mask"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// life is one call of Boot that has something to do.
type life struct {
	*state
	newborn *Newborn
	consul  *fleet.Client
	secrets map[string]string // in memory alone
	unknown time.Time         // since when nothing is noted of the ticket
	whyNot  string            // this machine isn't the one that is waited for
}

func (l *life) cell() string { return l.Order.Ticket.Cell() }

// run makes the cell. An error says that this is given up.
func (l *life) run(ctx context.Context) error {
	var err error
	if l.consul, err = l.connect(); err != nil {
		return err
	}
	defer l.consul.Close()
	claim, err := l.newborn.Machine.Claim()
	if err != nil {
		return err
	}
	if claim == nil || claim.ID() != l.cell() || claim.Phase != install.Installed || l.newborn.runs(ctx) != nil {
		if err := l.become(ctx); err != nil {
			return err
		}
	}
	l.tellDone(ctx)
	return nil
}

// become joins, fetches and installs, and tries again what may come right.
func (l *life) become(ctx context.Context) error {
	if err := l.join(ctx); err != nil {
		return err
	}
	forget, err := l.lendCredentials()
	if err != nil {
		return err
	}
	defer forget()
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval, pace.MaxInterval = 2*time.Second, time.Minute
	var last error
	for {
		err := l.standing(ctx)
		if err == nil {
			if err = l.make(ctx); err == nil {
				return nil
			}
			if ctx.Err() == nil || last == nil { // else what failed before says more
				last = err
			}
			if ctx.Err() == nil {
				l.report(ctx, l.failure(err))
			}
		}
		if final(err) {
			return err
		}
		if wait.For(ctx, pace.NextBackOff()) != nil {
			return errors.Join(context.Cause(ctx), last)
		}
	}
}

// make fetches what is published and installs it.
func (l *life) make(ctx context.Context) error {
	l.report(ctx, Progress{Step: "fetch what is published from " + l.Order.Store})
	store, err := bundle.OpenStore(l.Order.Store)
	if err != nil {
		return err
	}
	cached, err := store.Fetch(ctx, l.Order.Bundle, l.newborn.at(install.Home))
	if err != nil {
		return err
	}
	if l.Order.Genome != "" && cached.Manifest.Genome != l.Order.Genome {
		return fmt.Errorf("%w: bundle %s has the genome %s and not %s", errWrongOrder, l.Order.Bundle, cached.Manifest.Genome, l.Order.Genome)
	}
	request, err := l.request()
	if err != nil {
		return err
	}
	if err := l.newborn.Machine.Install(ctx, request, func(step string) { l.report(ctx, Progress{Step: step}) }); err != nil {
		return err
	}
	return l.newborn.runs(ctx)
}

var errWrongOrder = errors.New("the order contradicts itself")

// final reports whether to try again is of no use.
func final(err error) bool {
	for _, e := range []error{install.ErrOccupied, errWrongOrder, ErrUnknown, ErrUsed, ErrExpired} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// request is what is to be installed.
func (l *life) request() (install.Request, error) {
	t := l.Order.Ticket
	address := l.Order.Address
	if address == "" {
		var err error
		if address, err = outbound(l.Order.Consul); err != nil {
			return install.Request{}, err
		}
	}
	spec := birth.Spec{
		Service: t.Service, Name: t.Name, Incarnation: t.Incarnation, BornAt: l.BornAt,
		Bundle: l.Order.Bundle, Genome: l.Order.Genome,
	}
	environment := spec.Identity()
	for name, value := range l.Order.Environment {
		environment[name] = value
	}
	// What it fetched with is no business of the cell.
	secrets := maps.Clone(l.secrets)
	delete(secrets, CredentialsSecret)
	return install.Request{
		Service: t.Service, Name: t.Name, Incarnation: t.Incarnation, Bundle: l.Order.Bundle,
		Address: address, Environment: environment, Secrets: secrets, PowerOff: true,
	}, nil
}

// failure is the step that says why one failed. What a command said last stands
// below the error's first line.
func (l *life) failure(err error) Progress {
	p := Progress{Step: "it failed", Error: l.mask(err.Error())}
	p.Error, p.Output, _ = strings.Cut(p.Error, "\n")
	return p
}

// mask puts stars in the place of each secret.
func (l *life) mask(text string) string { return mask.Of(l.secrets).Apply(text) }
