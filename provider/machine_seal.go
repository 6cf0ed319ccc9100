package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed" // a script
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// clearLimit is how long a failed birth may take to be cleared away.
const clearLimit = 2 * time.Minute

// hangUpLimit is how long a machine may take to end this birth's own connection
// once its door is shut.
const hangUpLimit = 10 * time.Second

// shutTries is how often a machine is told to shut its door while that fails, at
// least breakLimit after one another.
const shutTries = 5

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
	return b.machine.Run(ctx, []string{install.Starter, "machine", "install"}, bytes.NewReader(request), func(line string) {
		tflog.Info(ctx, "on the machine", map[string]any{"machine": b.host.Address, "says": line})
	})
}

// await returns when the cell's own sidecar has pushed passing.
func (b *machineBirth) await(ctx context.Context) error {
	var last progress
	for pause := awaitLeast; ; pause = min(pause+pause/16, awaitMost) {
		member, err := b.roll.member(ctx, b.spec.Service, b.spec.Name)
		if err == nil && member.Incarnation == b.spec.Incarnation && member.Health == fleet.Passing {
			b.member = member
			return nil
		}
		if ctx.Err() == nil {
			last = progressOf(member, err, b.spec)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return last.stopped(ctx)
		}
	}
}

// seal takes away the access by which this birth got in, and tries to get in
// again by every way there is. Only a machine that refuses them all is shut. Where
// the connection broke before it was, the door is shut over another one.
func (b *machineBirth) seal(ctx context.Context) error {
	for tries := 1; ; tries++ {
		b.shut = true
		// In a session of its own it is done to the end, also without a connection.
		err := b.machine.Run(ctx, []string{"setsid", "--wait", install.Starter, "machine", "shut"}, nil, nil)
		if err != nil && !connectionEnded(err) && !b.broke(ctx) {
			// An sshd that is just being started again can't be asked what it reads.
			if tries < shutTries && ctx.Err() == nil {
				continue
			}
			return err
		}
		b.awaitHangUp(ctx)
		sealed := b.tryDoor(ctx, err == nil)
		if err == nil || !errors.Is(sealed, remote.ErrDoorOpen) {
			return sealed
		}
		tflog.Warn(ctx, "the connection broke before the door was shut: doing it over another", map[string]any{"machine": b.host.Address, "error": err.Error()})
		if err := b.dial(ctx); err != nil {
			return err
		}
	}
}

// awaitHangUp waits until the machine has ended this birth's own connection. Where
// it doesn't, it is found open afterwards.
func (b *machineBirth) awaitHangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, hangUpLimit)
	defer cancel()
	_ = b.machine.AwaitEnd(ctx)
}

// tryDoor tries to get in again, also by this birth's connection if it didn't break.
// One that breaks meanwhile tells nothing: then all is tried without it.
func (b *machineBirth) tryDoor(ctx context.Context, whole bool) error {
	b.config.HostKeys = []string{b.machine.HostKey()}
	if whole {
		err := b.sealed(ctx, remote.TryDoor(ctx, b.config, b.machine))
		if err == nil || errors.Is(err, remote.ErrDoorOpen) || !b.broke(ctx) {
			return err
		}
	}
	return b.sealed(ctx, remote.TryDoor(ctx, b.config, nil))
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

// connectionEnded reports whether a command's outcome is unknown as its connection
// ended, which to shut the door does on purpose. Whether it is shut the tries tell.
func connectionEnded(err error) bool {
	var exit *remote.ExitError
	return !errors.As(err, &exit)
}

// failed clears away what was begun, so that a failed birth leaves nothing;
// unless it was interrupted, when there is no time for that.
func (b *machineBirth) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil || b.nothingLeft {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, clearLimit)
	defer cancel()
	clearing := b.clear
	if b.shut {
		clearing = b.destroy
	}
	if cleared := clearing(ctx); cleared != nil {
		return fmt.Errorf("%w\nand it was not cleared away: %w", err, cleared)
	}
	b.nothingLeft = true
	if b.shut {
		return fmt.Errorf("%w\nthe cell was destroyed, since its machine can't be told to be shut", err)
	}
	return err
}

// clear takes the cell off a machine whose door is open, and gives that back to
// the pool.
func (b *machineBirth) clear(ctx context.Context) error {
	if b.begun {
		if err := b.takeOff(ctx); err != nil {
			return err
		}
		if err := b.fleet.Deregister(ctx, b.spec.ID()); err != nil {
			return err
		}
	}
	return b.fleet.FreeHost(ctx, b.host.Address, b.cell())
}

func (b *machineBirth) cell() fleet.Cell {
	return fleet.Cell{Service: b.spec.Service, Name: b.spec.Name, Incarnation: b.spec.Incarnation}
}

//go:embed takeoff.sh
var takeOffScript string

// takeOff removes what this birth has installed, over a connection of its own
// where the birth's has broken.
func (b *machineBirth) takeOff(ctx context.Context) error {
	machine, err := remote.Dial(ctx, b.config)
	if err != nil {
		return err
	}
	defer func() { _ = machine.Close() }() // it was closed for this
	return machine.Run(ctx, []string{"sh", "-c", takeOffScript, "sh", install.Starter, b.spec.Service, b.spec.Name}, nil, nil)
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
	spent := b.fleet.SpendHost(ctx, b.host.Address, fleet.HostLost, "its door could not be shut after a birth", b.cell())
	return errors.Join(left, spent)
}
