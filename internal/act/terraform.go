package act

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// calls are the instances of terraform-exec that make no call at present. The
// shards of a root module have them in common.
type calls struct {
	mu   sync.Mutex
	idle []*tfexec.Terraform
}

// take gives an instance of terraform-exec to one call. An instance is not safe
// for two calls at once, but may be used by one after the other, which saves
// the run of `terraform version` that each new instance makes.
func (r *Root) take() (*tfexec.Terraform, error) {
	tf := r.calls.take()
	if tf == nil {
		var err error
		if tf, err = tfexec.NewTerraform(r.cfg.Dir, r.cfg.Binary); err != nil {
			return nil, err
		}
	}
	return tf, tf.SetEnv(r.env) // it names the data directory, and so the shard
}

func (c *calls) take() *tfexec.Terraform {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	tf := c.idle[n-1]
	c.idle = c.idle[:n-1]
	return tf
}

func (r *Root) give(tf *tfexec.Terraform) {
	tf.SetStdout(io.Discard) // it would keep the call's writer
	r.calls.mu.Lock()
	defer r.calls.mu.Unlock()
	r.calls.idle = append(r.calls.idle, tf)
}

// run makes one call of Terraform under the time limit and explains a failure
// by what it printed.
func (r *Root) run(ctx context.Context, command string, call func(context.Context, *tfexec.Terraform) error) error {
	return r.runJSON(ctx, command, nil, call)
}

// runJSON is run for commands whose errors come as JSON on standard output,
// which the call must collect in out.
func (r *Root) runJSON(ctx context.Context, command string, out *bytes.Buffer, call func(context.Context, *tfexec.Terraform) error) error {
	tf, err := r.take()
	if err != nil {
		return fmt.Errorf("run terraform %s in %s: %w", command, r.cfg.Dir, err)
	}
	defer r.give(tf)
	limited, cancel := context.WithTimeoutCause(ctx, r.cfg.Timeout, ErrTimeout)
	defer cancel()
	r.cfg.Log.DebugContext(ctx, "terraform begins", "command", command, "dir", r.cfg.Dir)
	err = inWords(limited, onOneThread(func() error { return call(limited, tf) }))
	r.cfg.Log.DebugContext(ctx, "terraform ended", "command", command, "error", err)
	if err == nil {
		return nil
	}
	return r.explain(limited, command, out, err)
}

// inWords replaces an error that has nothing to say. That of terraform-exec 0.26, of a
// command whose context ended in the instant in which it was started or ended, wraps
// nothing, and asking it for its text is a panic.
func inWords(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) && errors.Unwrap(err) == nil {
		return ctx.Err()
	}
	return err
}

// onOneThread runs f on a goroutine that keeps its thread until f is done.
// terraform-exec sets Pdeathsig, which Linux delivers when the starting
// *thread* ends: on a goroutine that may change threads, Terraform could be
// killed in mid-apply because the runtime retired an idle thread.
func onOneThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- f()
	}()
	return <-done
}

func (r *Root) explain(ctx context.Context, command string, out *bytes.Buffer, err error) error {
	e := &CommandError{Command: command, Dir: r.cfg.Dir, Err: err}
	text := plain(err)
	if out != nil {
		s, readErr := guard.ReadStream(bytes.NewReader(out.Bytes()))
		if readErr != nil {
			r.cfg.Log.DebugContext(ctx, "terraform's output is cut", "command", command, "error", readErr)
		}
		for _, d := range s.Diagnostics {
			if d.Severity == "error" {
				e.Diagnostics = append(e.Diagnostics, d)
				text += "\n" + d.Summary
				if d.Address == "" {
					// A resource's detail is its provider's, and may quote anybody.
					text += "\n" + d.Detail
				}
			}
		}
		text += "\n" + strings.Join(s.Text, "\n")
	}
	e.Kind = classify(text, e.Diagnostics)
	var exit *exec.ExitError
	var path *fs.PathError
	switch {
	case errors.Is(context.Cause(ctx), ErrTimeout):
		e.Kind = ErrTimeout
	case ctx.Err() != nil:
		e.Kind = ErrInterrupted
	case e.Kind != nil:
	case errors.As(err, &exit) && signalled(exit):
		e.Kind = ErrKilled
	case errors.As(err, &path) && path.Op == "fork/exec":
		e.Kind = ErrNoBinary
	}
	return e
}

func signalled(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// Init prepares the data directory: backend, modules and providers, all as the
// dependency lock file says and without changing it. It selects the workspace,
// which must exist. It may be called again at any time.
func (r *Root) Init(ctx context.Context) error {
	options := []tfexec.InitOption{
		// The data directory is ours alone, so what it remembers of an earlier
		// backend is dropped rather than migrated.
		tfexec.Reconfigure(true),
	}
	settings := r.backendConfig()
	for _, k := range sorted(settings) {
		options = append(options, tfexec.BackendConfig(k+"="+settings[k]))
	}
	// terraform-exec has no option for -lockfile; Dir is appended as it is.
	options = append(options, tfexec.Dir("-lockfile=readonly"))
	err := r.run(ctx, "init", func(ctx context.Context, tf *tfexec.Terraform) error { return tf.Init(ctx, options...) })
	if err != nil {
		return err
	}
	return r.selectWorkspace(ctx)
}

func (r *Root) selectWorkspace(ctx context.Context) error {
	want := r.cfg.Workspace
	if want == "" {
		want = "default"
	}
	return r.run(ctx, "workspace", func(ctx context.Context, tf *tfexec.Terraform) error {
		if r.cfg.Workspace == "" {
			current, err := tf.WorkspaceShow(ctx)
			if err != nil || current == want {
				return err
			}
		}
		err := tf.WorkspaceSelect(ctx, want)
		if err != nil && strings.Contains(err.Error(), "doesn't exist") {
			// Made by itself, a workspace named by mistake would be an empty
			// state, in which all cells seem to be missing.
			return fmt.Errorf("workspace %q doesn't exist: make it with terraform workspace new, or name another in the policy: %w", want, err)
		}
		return err
	})
}
