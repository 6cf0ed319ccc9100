package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

var asCommand = command{
	name: "as", args: "USER[:GROUP] -- COMMAND ...", hidden: true,
	summary: "become a user and run a command in the place of this one",
	note:    "A cell's application runs so where its genome names a user: the sidecar stays root, to undo the cell.",
	flags: func(*flag.FlagSet) func(context.Context, stdio, []string) error {
		return func(_ context.Context, _ stdio, args []string) error {
			if len(args) < 2 {
				return misused("give a user and a command")
			}
			return become(args[0], args[1:])
		}
	},
}

// become doesn't return but with an error.
func become(owner string, command []string) error {
	name, group, _ := strings.Cut(owner, ":")
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("become %s: %w", owner, err)
	}
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("become %s: %w", owner, err)
		}
		u.Gid = g.Gid
	}
	program, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("run %s: %w", command[0], err)
	}
	if err := takeIDs(u); err != nil {
		return fmt.Errorf("become %s: %w", owner, err)
	}
	for name, value := range map[string]string{"HOME": u.HomeDir, "USER": u.Username, "LOGNAME": u.Username} {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("become %s: %w", owner, err)
		}
	}
	return fmt.Errorf("run %s: %w", program, syscall.Exec(program, command, os.Environ()))
}

// takeIDs gives up root, last of all the user id: without it nothing else goes.
func takeIDs(u *user.User) error {
	groups, err := u.GroupIds()
	if err != nil {
		return err
	}
	ids := make([]int, 0, len(groups)+2)
	for _, text := range append([]string{u.Uid, u.Gid}, groups...) {
		id, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if err := syscall.Setgroups(ids[1:]); err != nil {
		return err
	}
	if err := syscall.Setgid(ids[1]); err != nil {
		return err
	}
	return syscall.Setuid(ids[0])
}
