package loop

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// Stander stands for the lock of one service and leads it while it holds it.
//
// For its own cell's service a sidecar stands at once. For any other it may
// lead, it is a guest: it stands once none of that service's sidecars has been
// seen for two session TTLs, and gives the lock back when one is passing. So
// the last cell of a service can die and be born again.
type Stander struct {
	Service string
	// Guest is set where the sidecar's own cell is of another service.
	Guest  bool
	Fleet  *fleet.Client
	Holder fleet.Holder
	// Ready makes ready what the service is to be led from, before each standing;
	// nil where nothing is to be made ready.
	Ready func(ctx context.Context) error
	// Unready is told why the service can't be stood for, each new reason once, and
	// nothing once it can; nil where nobody is told.
	Unready func(why string)
	// Lead leads until ctx ends, the lease is lost, or it steps down. yield is
	// asked each beat whether a guest should give the lock back; it is nil for
	// the service's own sidecars.
	Lead func(ctx context.Context, lease *fleet.Lease, yield func([]fleet.Member) bool) error
	// SessionTTL is the time that absence is measured in.
	SessionTTL time.Duration
	Log        *slog.Logger
	Now        func() time.Time
}

// Run stands and leads, again and again, until ctx ends.
func (s *Stander) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.once(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("standing for the lock again", "service", s.Service, "because", err)
			_ = wait.For(ctx, time.Second) // the loop's condition looks at ctx
		}
	}
	return ctx.Err()
}

// once waits until standing is right, stands, and leads.
func (s *Stander) once(ctx context.Context) error {
	if err := s.waitForTurn(ctx); err != nil {
		return err
	}
	if err := s.makeReady(ctx); err != nil {
		return err
	}
	lease, err := s.stand(ctx)
	if err != nil {
		return err
	}
	s.Log.Info("leading", "service", s.Service, "epoch", lease.Epoch(), "guest", s.Guest)
	err = s.Lead(ctx, lease, s.yield())
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.SessionTTL)
	defer cancel()
	if e := lease.Release(release); e != nil && !errors.Is(e, fleet.ErrFenced) {
		s.Log.Warn("could not give the lock back; it frees itself when the session ends", "service", s.Service, "error", e)
	}
	if errors.Is(err, ErrRepublished) {
		s.Log.Info("standing for the lock again", "service", s.Service, "because", err)
		return nil
	}
	if errors.Is(err, ErrStepDown) {
		s.Log.Info("no longer leading", "service", s.Service, "because", err)
		return s.keepAway(ctx)
	}
	return err
}

// makeReady tries until what the service is to be led from is ready. Others lead
// meanwhile; each new reason is told once.
func (s *Stander) makeReady(ctx context.Context) error {
	if s.Ready == nil {
		return nil
	}
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval, pace.MaxInterval = time.Second, max(s.SessionTTL, time.Second)
	told := ""
	for {
		err := s.Ready(ctx)
		if err == nil {
			s.tellUnready("")
			return nil
		}
		if why := err.Error(); why != told && ctx.Err() == nil {
			s.Log.Error("not standing for the lock; trying again", "service", s.Service, "because", why)
			s.tellUnready(why)
			told = why
		}
		if err := wait.For(ctx, pace.NextBackOff()); err != nil {
			return err
		}
	}
}

func (s *Stander) tellUnready(why string) {
	if s.Unready != nil {
		s.Unready(why)
	}
}

// stand takes the lock. A guest only tries: when a sidecar of the service
// itself is faster, that is as it should be.
func (s *Stander) stand(ctx context.Context) (*fleet.Lease, error) {
	if s.Guest {
		return s.Fleet.TryStand(ctx, s.Service, s.Holder)
	}
	return s.Fleet.Stand(ctx, s.Service, s.Holder)
}

// waitForTurn returns at once for the sidecar's own service. A guest waits
// until no sidecar of the service has been seen for two session TTLs. An
// answer that Consul doesn't give is no absence.
func (s *Stander) waitForTurn(ctx context.Context) error {
	if !s.Guest {
		return nil
	}
	seen := s.Now()
	for s.Now().Sub(seen) < 2*s.SessionTTL {
		if err := wait.For(ctx, s.SessionTTL/4); err != nil {
			return err
		}
		present, err := s.present(ctx)
		if err != nil || present {
			seen = s.Now()
		}
	}
	return nil
}

// present reports whether the service has a sidecar that could lead it, or
// has never been there at all: a guest makes no service out of nothing.
func (s *Stander) present(ctx context.Context) (bool, error) {
	_, _, err := s.Fleet.Record(ctx, s.Service)
	if errors.Is(err, fleet.ErrNoRecord) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	members, err := s.Fleet.Members(ctx, s.Service)
	if err != nil {
		return false, err
	}
	leaving, err := s.Fleet.Leaving(ctx, s.Service)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(members, func(m fleet.Member) bool {
		// A sidecar whose application is unwell may lead, but can't replace its
		// own cell: that is a guest's to do.
		return m.Health != fleet.Critical && !slices.ContainsFunc(leaving, func(l fleet.Leaving) bool { return l.Cell == m.Name })
	}), nil
}

// yield is what a guest asks each beat.
func (s *Stander) yield() func([]fleet.Member) bool {
	if !s.Guest {
		return nil
	}
	return func(members []fleet.Member) bool {
		for _, m := range members {
			if m.Health == fleet.Passing {
				return true
			}
		}
		return false
	}
}

// keepAway lets others take the lock after this sidecar stepped down: their
// turn comes within two session TTLs.
func (s *Stander) keepAway(ctx context.Context) error {
	if s.Guest {
		return nil
	}
	return wait.For(ctx, 3*s.SessionTTL)
}

// MayLead lists the other services that a service's sidecars may lead.
func MayLead(p *policy.Policy, own string) []*policy.Service {
	self := p.Service(own)
	var out []*policy.Service
	for _, s := range p.Services {
		if s.Name == own || self == nil {
			continue
		}
		if self.Lead == nil || slices.Contains(self.Lead, s.Name) {
			out = append(out, s)
		}
	}
	return out
}

// HasGuests reports whether sidecars of other services may lead a service.
func HasGuests(p *policy.Policy, service string) bool {
	return slices.ContainsFunc(p.Services, func(s *policy.Service) bool {
		return s.Name != service && (s.Lead == nil || slices.Contains(s.Lead, service))
	})
}
