package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// cli is a rig with a root module on disk, where the real Terraform runs the
// provider as a program of its own.
type cli struct {
	*rig
	root   string
	binary string
	build  testkit.ProviderBuild
}

func newCLI(t *testing.T, r *rig) *cli {
	t.Helper()
	return &cli{rig: r, root: t.TempDir(), binary: testkit.Terraform(t), build: testkit.Provider(t)}
}

// write puts the configuration in place and prepares the directory for it.
func (c *cli) write(config string) {
	c.t.Helper()
	config = "terraform {\n  required_providers {\n    homeostat = { source = \"homeostat-io/homeostat\" }\n  }\n}\n" + config
	if err := os.WriteFile(filepath.Join(c.root, "main.tf"), []byte(config), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.must("init")
}

func (c *cli) command(ctx context.Context, args ...string) *exec.Cmd {
	if args[0] != "state" {
		args = slices.Insert(slices.Clone(args), 1, "-no-color", "-input=false")
	}
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Dir, cmd.Env = c.root, c.build.Environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// terraform runs one command and returns its output and exit code.
func (c *cli) terraform(args ...string) (string, int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Minute)
	defer cancel()
	out, err := c.command(ctx, args...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return string(out), 0
}

// must fails the test unless the command ends with 0.
func (c *cli) must(args ...string) string {
	c.t.Helper()
	out, code := c.terraform(args...)
	if code != 0 {
		c.t.Fatalf("terraform %v ends with %d:\n%s", args, code, out)
	}
	return out
}

// running is a Terraform command under way.
type running struct {
	cmd  *exec.Cmd
	out  *bytes.Buffer
	done chan error
}

// start begins a command that the test is going to cut.
func (c *cli) start(args ...string) *running {
	c.t.Helper()
	r := &running{cmd: c.command(context.Background(), args...), out: &bytes.Buffer{}, done: make(chan error, 1)}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	// A provider that outlives Terraform keeps the output open.
	r.cmd.WaitDelay = 10 * time.Second
	if err := r.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { r.done <- r.cmd.Wait() }()
	return r
}

// provider is the id of the provider's process under this Terraform, 0 if none.
func (r *running) provider(t *testing.T) int {
	t.Helper()
	for _, pid := range childrenOf(t, r.cmd.Process.Pid) {
		return pid
	}
	return 0
}

// wait returns how the command ended; the limit is there so that the test ends.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case status := <-r.done:
		return status
	case <-time.After(time.Minute):
		t.Fatalf("it doesn't end:\n%s", r.out)
		return nil
	}
}
