package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// front is the front server that clients come to.
type front struct {
	url     string
	command *exec.Cmd
}

// frontLimit is how long the front may take to end.
const frontLimit = 20 * time.Second

// startFront starts the front before the APIs. It answers once it has heard of them.
func (d *demo) startFront() (*front, error) {
	port, err := testkit.StartPort()
	if err != nil {
		return nil, err
	}
	listen := net.JoinHostPort(d.host, strconv.Itoa(port))
	log, err := os.Create(filepath.Join(d.place.logs(), "front.log"))
	if err != nil {
		return nil, fmt.Errorf("start the front: %w", err)
	}
	defer func() { _ = log.Close() }() // the front has it
	command := exec.Command(d.place.program("homeostat"), "front", "-policy", d.place.policy(), "-service", "api", "-listen", listen)
	command.Env, command.Stdout, command.Stderr = d.environment, log, log
	// A process group of its own, so that Ctrl-C in the terminal is only ours.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the front: %w", err)
	}
	return &front{url: "http://" + listen, command: command}, nil
}

// stop has the front end its requests, and ends it.
func (f *front) stop() error {
	if f == nil {
		return nil
	}
	return stop(f.command, frontLimit)
}
