package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// services in the order in which they are made; they are removed the other way
// round.
var services = []string{"db", "api", "front", "crawler"}

// terraform runs one command in a service's root module.
func (d *demo) terraform(ctx context.Context, service string, arguments ...string) error {
	log, err := os.OpenFile(filepath.Join(d.place.logs(), "terraform-"+service+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("run terraform: %w", err)
	}
	defer func() { _ = log.Close() }()
	command := exec.CommandContext(ctx, d.binary, append(arguments, "-no-color", "-input=false")...)
	command.Dir, command.Env, command.Stdout, command.Stderr = d.place.module(service), d.environment, log, log
	// A process group of its own, so that Ctrl-C in the terminal is only ours;
	// an interrupt lets Terraform write down what it has made.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	if err := command.Run(); err != nil {
		return fmt.Errorf("terraform %s for %s (see %s): %w", arguments[0], service, log.Name(), err)
	}
	return nil
}

// make makes a service as a person would.
func (d *demo) make(ctx context.Context, service string) error {
	if err := d.terraform(ctx, service, "init"); err != nil {
		return err
	}
	return d.terraform(ctx, service, "apply", "-auto-approve", "-lock-timeout=1m")
}

// homeostat runs a command of the sidecar's program.
func (d *demo) homeostat(ctx context.Context, name string, arguments ...string) error {
	arguments = append([]string{name, "-policy", d.place.policy()}, arguments...)
	command := exec.CommandContext(ctx, d.place.program("homeostat"), arguments...)
	command.Env = d.environment
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("homeostat %s: %w: %s", name, err, output)
	}
	return nil
}
