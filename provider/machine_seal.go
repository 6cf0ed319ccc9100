package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// clearLimit is how long a failed birth may take to be cleared away.
const clearLimit = 2 * time.Minute

// sealLimit is how long shutting the door and trying it may take at least: a birth
// that comes so far late is not given up for that.
const sealLimit = 3 * time.Minute

// breakInLimit is how long it is tried to get in again after the door may have been
// shut.
const breakInLimit = 15 * time.Second

// hangUpLimit is how long a machine may take to end this birth's own connection
// once its door is shut.
const hangUpLimit = 10 * time.Second

// shutLimit is for how long a machine is told again to shut its door while that fails.
const shutLimit = 30 * time.Second

// install has the machine install the cell.
func (b *machineBirth) install(ctx context.Context) error {
	access, err := b.access(ctx)
	if err != nil {
		return err
	}
	request, err := json.Marshal(install.Request{
		Service: b.spec.Service, Name: b.spec.Name, Incarnation: b.spec.Incarnation, Bundle: b.spec.Bundle,
		Address: b.config.Host, Environment: b.spec.Identity(), Secrets: b.secrets, Door: access, Reuse: b.ssh.Reuse.ValueBool(),
	})
	if err != nil {
		return err
	}
	err = b.machine.Run(ctx, []string{install.Starter, "machine", "install"}, bytes.NewReader(request), func(line string) {
		tflog.Info(ctx, "on the machine", map[string]any{"machine": b.host.Address, "says": line})
	})
	b.installed = err == nil
	return err
}

// await returns when the cell's own sidecar has pushed passing.
func (b *machineBirth) await(ctx context.Context) (err error) {
	b.member, err = b.awaitPassing(ctx, b.spec)
	return err
}

// awaitPassing returns a cell of another machine once its own sidecar has pushed
// passing.
func (s *settings) awaitPassing(ctx context.Context, spec birth.Spec) (*fleet.Member, error) {
	return s.awaitMember(ctx, spec, func(m *fleet.Member) bool { return m.Health == fleet.Passing })
}

// awaitShut returns when the cell is passing and its sidecar says that nothing of the
// access is left.
func (b *machineBirth) awaitShut(ctx context.Context) error {
	member, err := b.awaitMember(ctx, b.spec, func(m *fleet.Member) bool { return m.Health == fleet.Passing && m.Door == fleet.DoorShut })
	if err == nil {
		b.member = member
	}
	return err
}

func (s *settings) awaitMember(ctx context.Context, spec birth.Spec, is func(*fleet.Member) bool) (*fleet.Member, error) {
	var last progress
	for pause := awaitLeast; ; pause = min(pause+pause/16, awaitMost) {
		member, err := s.roll.member(ctx, spec.Service, spec.Name)
		if err == nil && member.Incarnation == spec.Incarnation && is(member) {
			return member, nil
		}
		if ctx.Err() == nil {
			last = progressOf(member, err, spec)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, last.stopped(ctx)
		}
	}
}

// seal takes away the access by which this birth got in, and tries to get in
// again by every way there is. Only a machine that says that all of it is gone, and
// refuses every try, is shut.
func (b *machineBirth) seal(ctx context.Context) error {
	b.shut = true
	told := false
	for began := time.Now(); !b.born && !told; {
		err := b.takeAccess(ctx)
		switch {
		case err == nil:
			b.awaitHangUp(ctx)
			told = true
		case ctx.Err() != nil:
			return err
		case !b.broke(ctx):
			// A disk may be full for a while, and an sshd that is just being started again
			// can't be asked what it reads. Where a part of it is done, such as the rule
			// of sudo, nobody can ask again, and the cell's sidecar does the rest.
			b.born = b.saysShut(ctx)
			if !b.born && time.Since(began) > shutLimit {
				return err
			}
		default:
			// The machine goes on by itself: it says so when it is shut, and while
			// it isn't it can be entered again.
			tflog.Warn(ctx, "the connection broke while the door was being shut", map[string]any{"machine": b.host.Address, "error": err.Error()})
			b.config.HostKeys = []string{b.machine.HostKey()}
			if err := b.enterUnlessShut(ctx); err != nil {
				return err
			}
		}
	}
	return b.tryDoor(ctx, told)
}

// tryDoor tries to get in again, also by this birth's connection if it didn't break.
// One that breaks meanwhile tells nothing: then all is tried without it.
func (b *machineBirth) tryDoor(ctx context.Context, whole bool) error {
	if b.machine != nil {
		b.config.HostKeys = []string{b.machine.HostKey()}
	}
	if whole {
		err := b.sealed(ctx, remote.TryDoor(ctx, b.config, b.machine))
		if err == nil || errors.Is(err, remote.ErrDoorOpen) || !b.broke(ctx) {
			return err
		}
	}
	return b.sealed(ctx, remote.TryDoor(ctx, b.config, nil))
}

// saysShut reports whether the cell's sidecar says that nothing of the access is left.
func (b *machineBirth) saysShut(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, breakLimit)
	defer cancel()
	return b.awaitShut(ctx) == nil
}

// takeAccess has the machine take the access away. In a session of its own that is
// done to its end, also without a connection.
func (b *machineBirth) takeAccess(ctx context.Context) error {
	return b.machine.Run(ctx, []string{"setsid", "--wait", install.Starter, "machine", "shut", cellID(b.spec.Service, b.spec.ID())}, nil, nil)
}

// awaitHangUp waits until the machine has ended this birth's own connection. Where
// it doesn't, it is found open afterwards.
func (b *machineBirth) awaitHangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hangUpLimit)
	defer cancel()
	_ = b.machine.AwaitEnd(ctx)
}

// sealed judges the tries to get in, and notes when all were refused.
func (b *machineBirth) sealed(ctx context.Context, tries []remote.Try) error {
	if err := remote.CheckShut(tries); err != nil {
		return err
	}
	refused, hostKey := 0, ""
	for _, t := range tries {
		if t.Outcome == remote.Refused {
			refused++
			hostKey = cmp.Or(t.HostKey, hostKey)
		}
	}
	tflog.Info(ctx, "the door is shut", map[string]any{"machine": b.host.Address, "ways refused": refused})
	b.model.SealedAt = types.StringValue(time.Now().UTC().Format(time.RFC3339))
	b.model.Fingerprint = types.StringValue(hostKey)
	return nil
}

// failed clears away what was begun, so that a failed birth leaves nothing;
// unless it was interrupted, when there is no time for that.
func (b *machineBirth) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil || b.nothingLeft {
		return err
	}
	if words := b.lastWords(ctx); words != "" {
		err = fmt.Errorf("%w; the machine's journal ends with:\n%s", err, words)
	}
	ctx, cancel := context.WithTimeout(ctx, clearLimit)
	defer cancel()
	destroyed, cleared := b.undo(ctx, err)
	if cleared != nil {
		return fmt.Errorf("%w\nand it was not cleared away: %w", err, cleared)
	}
	b.nothingLeft = true
	if destroyed {
		return fmt.Errorf("%w\nthe cell was destroyed, since its machine can't be told to be shut", err)
	}
	return err
}

// undo takes away what the birth has made. A machine that could not be shut is entered
// if it still can be; else its cell is ordered to leave. Either way it is used no more.
func (b *machineBirth) undo(ctx context.Context, failure error) (destroyed bool, err error) {
	if !b.shut {
		return false, b.clear(ctx, failure)
	}
	entering, cancel := context.WithTimeout(ctx, breakInLimit)
	defer cancel()
	if b.takeOff(entering) != nil {
		return true, b.destroy(ctx)
	}
	return true, errors.Join(b.fleet.Deregister(ctx, b.spec.ID()), b.lose(ctx))
}

// lastWords is what the cell said last, where it was waited for in vain.
func (b *machineBirth) lastWords(ctx context.Context) string {
	if b.machine == nil || !b.installed || b.shut {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, breakInLimit)
	defer cancel()
	var lines []string
	err := b.machine.Run(ctx, []string{"journalctl", "--no-pager", "--output=cat", "--lines=15", "--unit=homeostat.service"}, nil, func(line string) {
		lines = append(lines, "  "+line)
	})
	if err != nil {
		return "  (not read: " + err.Error() + ")"
	}
	return strings.Join(lines, "\n")
}

// clear takes the cell off a machine whose door is open, and gives that back to
// the pool. One in which nothing could be begun is tried again after all others.
func (b *machineBirth) clear(ctx context.Context, failure error) error {
	if !b.begun && !b.tried && len(b.host.Remains) == 0 {
		return b.fleet.FreeHost(ctx, b.host.Address, b.cell())
	}
	if !b.begun {
		line, _, _ := strings.Cut(failure.Error(), "\n")
		return b.fail(ctx, line)
	}
	occupied := b.takeOff(ctx)
	if occupied != nil && !errors.Is(occupied, errOccupied) {
		return occupied
	}
	if err := b.fleet.Deregister(ctx, b.spec.ID()); err != nil {
		return err
	}
	switch {
	case occupied != nil:
		return b.fail(ctx, errOccupied.Error())
	case len(b.host.Remains) > 0:
		return b.fail(ctx, "something of an earlier life may be left there")
	}
	return b.fleet.FreeHost(ctx, b.host.Address, b.cell())
}

// fail has the machine taken again after all others.
func (b *machineBirth) fail(ctx context.Context, reason string) error {
	return b.fleet.SpendHost(ctx, b.host.Address, fleet.HostFailed, reason, b.cell())
}

func (b *machineBirth) cell() fleet.Cell {
	return fleet.Cell{Service: b.spec.Service, Name: b.spec.Name, Incarnation: b.spec.Incarnation}
}

// takeOff removes what this birth has installed, over a connection of its own
// where the birth's has broken.
func (b *machineBirth) takeOff(ctx context.Context) error {
	machine, err := remote.Dial(ctx, b.config)
	if err != nil {
		return err
	}
	defer func() { _ = machine.Close() }() // it was opened for this
	if err := machine.Doubt(ctx); err != nil {
		return err
	}
	return takeOff(ctx, machine, b.cell())
}

// errOccupied says that another life has the machine.
var errOccupied = errors.New("another cell is on the machine")

// takeOff removes one life from a machine. What another life has there stays.
func takeOff(ctx context.Context, machine *remote.Machine, cell fleet.Cell) error {
	for _, verb := range []string{"remove", "release"} {
		const script = `test ! -x "$1" || exec "$1" machine "$2" "$3"`
		err := machine.Run(ctx, []string{"sh", "-c", script, "sh", install.Starter, verb, cellID(cell.Service, cell.ID())}, nil, nil)
		if exit, ok := errors.AsType[*remote.ExitError](err); ok && exit.Status == install.ExitOccupied {
			return fmt.Errorf("%w: %w", errOccupied, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// destroy ends a cell whose machine can't be proven shut: it is ordered to leave,
// and whatever comes of that, its machine is used no more until a person has
// looked.
func (b *machineBirth) destroy(ctx context.Context) error {
	order := fleet.LeaveOrder{Cell: b.spec.Name, Incarnation: b.spec.Incarnation, Reason: "its machine could not be shut", By: "terraform on " + b.births.Host().Name}
	left := b.fleet.OrderLeave(ctx, b.spec.Service, order)
	if left == nil {
		left = b.fleet.AwaitLeft(ctx, b.spec.Service, b.spec.Name, b.spec.Incarnation, nil)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(left, b.lose(ctx))
}

// lose takes the machine out of the pool until a person has looked.
func (b *machineBirth) lose(ctx context.Context) error {
	return b.fleet.SpendHost(ctx, b.host.Address, fleet.HostLost, "its door could not be shut after a birth", b.cell())
}
