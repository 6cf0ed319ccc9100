package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/boot"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// machineCommand is what births run on a machine, as root: over SSH the provider
// does, at a first boot the user data.
var machineCommand = command{
	name: "machine", args: "install|boot|shut|remove|release|claim [SERVICE/NAME.INCARNATION]", hidden: true,
	summary: "make a cell of this machine, or take it off again; births call this",
	note: "install reads a request in JSON from its input and says on its output what it does. boot joins by the order in a file,\n" +
		"fetches what is published and installs it; a machine that can't become its cell in time it powers off. shut takes away the\n" +
		"access by which the birth got in. remove takes the cell off, release then makes the machine nobody's, and claim shows whose it is.\n" +
		"With the name of a life, shut, remove and release touch no other.",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.defineLog(fs, "warn")
		order := fs.String("order", "", "the `file` with the order for boot; it is removed once it is read")
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) == 0 || len(args) > 2 {
				return misused("name one of install, boot, shut, remove, release and claim")
			}
			log, err := s.logger(std.Err)
			if err != nil {
				return err
			}
			syscall.Umask(0o022) // directories are made as they are meant
			if args[0] == "boot" {
				return bootMachine(ctx, install.This(log), *order)
			}
			return onMachine(ctx, std, install.This(log), args[0], args[1:])
		}
	},
}

func onMachine(ctx context.Context, std stdio, m *install.Machine, verb string, args []string) error {
	life, err := lifeOf(args)
	if err == nil && life != nil {
		err = life.isOn(m)
	}
	if err != nil {
		return err
	}
	switch verb {
	case "install":
		var request install.Request
		if err := readRequest(std.In, &request); err != nil {
			return err
		}
		return m.Install(ctx, request, func(step string) { say(std.Out, "step: %s", step) })
	case "shut":
		return shut(ctx, m)
	case "remove":
		if life != nil {
			return m.RemoveCell(ctx, life.id)
		}
		return m.Remove(ctx)
	case "release":
		if life != nil {
			return m.ReleaseCell(ctx, life.id)
		}
		return m.Release(ctx)
	case "claim":
		c, err := m.Claim()
		if err != nil {
			return err
		}
		return json.NewEncoder(std.Out).Encode(c)
	}
	return misused("there is no %q: name one of install, boot, shut, remove, release and claim", verb)
}

// life is one life of a cell, as births and leavings name it to a machine.
type life struct{ service, id string }

func lifeOf(args []string) (*life, error) {
	if len(args) == 0 {
		return nil, nil
	}
	service, id, ok := strings.Cut(args[0], "/")
	if !ok || service == "" || !strings.Contains(id, ".") {
		return nil, misused("%q names no life of a cell: SERVICE/NAME.INCARNATION", args[0])
	}
	return &life{service, id}, nil
}

// isOn returns ErrOccupied where the machine is another life's.
func (l *life) isOn(m *install.Machine) error {
	c, err := m.Claim()
	if err != nil || c == nil || c.Service == l.service && c.ID() == l.id {
		return err
	}
	return &exitCodeError{code: install.ExitOccupied, err: fmt.Errorf("%s/%s: %w: %s", l.service, l.id, install.ErrOccupied, c)}
}

// bootMachine makes a cell of a machine at its first boot, or powers it off.
func bootMachine(ctx context.Context, m *install.Machine, order string) error {
	if order == "" {
		return misused("boot needs the file with its order: -order FILE")
	}
	n := &boot.Newborn{Machine: m, PowerOff: boot.PowerOff, Console: boot.Console, Log: m.Log}
	return n.Boot(ctx, order)
}

// requestLimit is the most that a request may have, in bytes.
const requestLimit = 4 << 20

// readRequest reads a request. Its errors don't show what it held.
func readRequest(from io.Reader, request *install.Request) error {
	text, err := io.ReadAll(io.LimitReader(from, requestLimit+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the request: %w", err)
	case len(text) > requestLimit:
		return fmt.Errorf("read the request: it has more than %d bytes", requestLimit)
	}
	defer clear(text)
	if err := json.Unmarshal(text, request); err != nil {
		return fmt.Errorf("read the request of %d bytes: it isn't the JSON of one", len(text))
	}
	return nil
}

// shut shuts the door by which the birth of the machine's cell got in.
func shut(ctx context.Context, m *install.Machine) error {
	c, err := m.Claim()
	switch {
	case err != nil:
		return err
	case c == nil:
		return errors.New("shut the door: the machine is nobody's")
	case c.Door == nil:
		return fmt.Errorf("shut the door: nobody got in for the birth of %s", c.ID())
	}
	return door.Shut(ctx, *c.Door)
}
