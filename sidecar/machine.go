package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"syscall"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
)

// machineCommand is what births run on a machine, as root: over SSH the provider
// does, at a first boot the user data.
var machineCommand = command{
	name: "machine", args: "install|shut|remove [NAME.INCARNATION]|release|claim", hidden: true,
	summary: "make a cell of this machine, or take it off again; births call this",
	note: "install reads a request in JSON from its input and says on its output what it does. shut takes away the access by which\n" +
		"the birth got in. remove takes the cell off, or one life of it and no other; release then makes the machine nobody's, and claim shows whose it is.",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.defineLog(fs, "warn")
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) == 0 || len(args) > 1 && args[0] != "remove" || len(args) > 2 {
				return misused("name one of install, shut, remove, release and claim; remove takes the life of a cell besides")
			}
			log, err := s.logger(std.Err)
			if err != nil {
				return err
			}
			syscall.Umask(0o022) // directories are made as they are meant
			return onMachine(ctx, std, install.This(log), args[0], args[1:])
		}
	},
}

func onMachine(ctx context.Context, std stdio, m *install.Machine, verb string, args []string) error {
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
		if len(args) > 0 {
			return m.RemoveCell(ctx, args[0])
		}
		return m.Remove(ctx)
	case "release":
		return m.Release(ctx)
	case "claim":
		c, err := m.Claim()
		if err != nil {
			return err
		}
		return json.NewEncoder(std.Out).Encode(c)
	}
	return misused("there is no %q: name one of install, shut, remove, release and claim", verb)
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
