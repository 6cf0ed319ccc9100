package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// Newborn is the machine that this runs on, until it is a cell.
type Newborn struct {
	Machine *install.Machine
	// PowerOff ends the machine for good.
	PowerOff func(context.Context) error
	// Console says a line where whoever looks at the machine from outside sees it.
	Console func(line string)
	Log     *slog.Logger
}

var (
	errDeadline = errors.New("its time is over")
	errOccupied = errors.New("a cell lives here, which isn't touched")
)

// lastWord is how long a machine that ends itself tries to say why in Consul.
const lastWord = 10 * time.Second

// Boot makes the cell of the machine that the order's file says. It goes on where
// an earlier call was cut, whatever cut it, as long as the order's deadline isn't
// over. When it returns nil the cell is installed and nothing else of the birth is
// left, or the machine is being powered off: since nobody waits for it, because its
// ticket is used, expired or revoked, or its time over. A machine on which a cell is
// installed is never powered off; what an order for it has left is removed.
func (n *Newborn) Boot(ctx context.Context, orderFile string) error {
	release, err := n.hold()
	if err != nil {
		return err
	}
	defer release()
	l, err := n.begin(orderFile)
	if err != nil {
		return err
	}
	if l == nil {
		return n.finish(ctx)
	}
	bounded, cancel := context.WithDeadlineCause(ctx, l.Until, errDeadline)
	defer cancel()
	err = l.run(bounded)
	switch {
	case err == nil:
		return n.finish(ctx)
	case ctx.Err() != nil:
		return fmt.Errorf("become %s: %w", l.cell(), context.Cause(ctx))
	}
	return n.end(ctx, l, err)
}

// end has the machine power itself off, unless something lives on it.
func (n *Newborn) end(ctx context.Context, l *life, why error) error {
	why = fmt.Errorf("this machine has not become %s of service %s: %w", l.cell(), l.Order.Ticket.Service, why)
	n.Console(l.mask(why.Error()))
	living, err := n.living(l)
	if err != nil {
		return errors.Join(why, err)
	}
	if living {
		n.Console(errOccupied.Error())
		return n.stays(ctx, l)
	}
	word, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	l.report(word, Progress{Step: "power off", Over: true, Error: l.mask(why.Error())})
	if errors.Is(why, ErrUnknown) {
		// Nobody revokes the ticket any more, and with it what was said over it.
		if err := l.consul.ClearJoin(word, l.ID); err != nil {
			n.Log.WarnContext(ctx, "what was said over the ticket can't be removed", "err", err)
		}
	}
	n.Console("nobody waits for it, so it is powered off")
	if err := n.PowerOff(ctx); err != nil {
		return fmt.Errorf("power off: %w", err)
	}
	return nil
}

// stays removes the birth from a machine on which a cell lives. Whoever waits for
// that very cell is told that it is installed, or why it doesn't run.
func (n *Newborn) stays(ctx context.Context, l *life) error {
	claim, err := n.Machine.Claim()
	if err != nil {
		return err
	}
	word, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	switch {
	case claim == nil || claim.ID() != l.cell():
		l.report(word, Progress{Step: "give up", Over: true, Error: errOccupied.Error()})
	case claim.Phase != install.Installed: // it is leaving
	default:
		if err := n.runs(word); err != nil {
			l.report(word, l.failure(err))
		} else {
			l.tellDone(word)
		}
	}
	return n.finish(ctx)
}

// living reports whether the machine is a cell's: any other's than the one that it
// was to become, or that one once it is installed. That its sidecar doesn't run at
// this instant is no reason to power it off: systemd starts it again.
func (n *Newborn) living(l *life) (bool, error) {
	claim, err := n.Machine.Claim()
	if err != nil || claim == nil {
		return false, err
	}
	return claim.ID() != l.cell() || claim.Phase != install.Installing, nil
}

// at is where a path of the machine is.
func (n *Newborn) at(path string) string { return filepath.Join(n.Machine.Root, path) }
