package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// Run keeps the application running until ctx ends, then stops it: SIGTERM,
// and after the grace SIGKILL for every process of it. It returns when none is
// left; the error is of those that could not be ended. A program that ends by
// itself is started again, whatever its exit status: a cell's program is meant
// to run.
func (a *Application) Run(ctx context.Context) error {
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if len(a.Command) == 0 {
		a.change(func(s *State) { s.Starting = true })
		a.watchHealth(ctx)
		a.change(func(s *State) { s.Healthy, s.Starting, s.Why = false, false, "stopped" })
		return nil
	}
	if err := becomeSubreaper(); err != nil {
		a.Log.Warn("processes that the application detaches may stay zombies", "error", err)
	}
	helpers.Go(func() { a.reap(helping) })
	pause := &backoff.ExponentialBackOff{
		InitialInterval: a.BackoffMin, MaxInterval: a.BackoffMax, Multiplier: 2, RandomizationFactor: 0.1,
	}
	for {
		if err := a.once(ctx, pause); err != nil {
			return err
		}
		if ctx.Err() == nil {
			a.rest(ctx, pause.NextBackOff())
		}
		if ctx.Err() != nil {
			a.change(func(s *State) { s.Why = "stopped" })
			return nil
		}
	}
}

// rest waits before the next start and says so.
func (a *Application) rest(ctx context.Context, d time.Duration) {
	var why string
	a.change(func(s *State) {
		why = s.Why
		s.Why = fmt.Sprintf("%s; starting it again in %v", why, d.Round(time.Millisecond))
	})
	a.Log.Warn("the application isn't running", "why", why, "pause", d)
	_ = wait.For(ctx, d)
}

// once starts the application and stays with it until it has ended, by itself
// or because ctx did, and nothing of it is left.
func (a *Application) once(ctx context.Context, pause *backoff.ExponentialBackOff) error {
	started, err := a.start()
	if err != nil {
		a.change(func(s *State) { s.Why = err.Error() })
		return nil
	}
	defer started.output.close()
	if well := a.attend(ctx, started); !well.IsZero() && time.Since(well) >= a.StableAfter {
		pause.Reset()
	}
	if started.ended() {
		a.ended(started)
	} else {
		a.change(func(s *State) { s.Healthy, s.Starting, s.Why = false, false, "stopping" })
	}
	if err := a.stop(started); err != nil {
		return err
	}
	a.ended(started)
	return nil
}

// ended notes that the first process has ended. To say it twice is no harm.
func (a *Application) ended(started *started) {
	exit, life := started.cmd.ProcessState.String(), started.life.Round(time.Millisecond)
	a.change(func(s *State) {
		s.Running, s.PID, s.Healthy, s.Starting, s.LastExit = false, 0, false, false, exit
		s.Why = fmt.Sprintf("ended with %s after %v", exit, life)
	})
}

// attend watches the application's health until it ends or ctx does. It
// returns when the application was well for the first time.
func (a *Application) attend(ctx context.Context, s *started) time.Time {
	watching, cancel := context.WithCancel(ctx)
	well := make(chan time.Time)
	go func() { well <- a.watchHealth(watching) }()
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	cancel()
	return <-well
}

// started is one life of the application.
type started struct {
	cmd    *exec.Cmd
	output *output
	done   chan struct{} // closed when the first process has ended
	began  time.Time
	life   time.Duration // how long it lived, once done is closed
}

// start begins the application in a process group of its own, with no input.
func (a *Application) start() (*started, error) {
	if err := a.portTaken(); err != nil {
		return nil, fmt.Errorf("not started: %w", err)
	}
	output, err := newOutput(a.Output)
	if err != nil {
		return nil, fmt.Errorf("not started: %w", err)
	}
	cmd := exec.Command(a.Command[0], a.Command[1:]...)
	cmd.Dir = a.Directory
	cmd.Env = append(a.Environment[:len(a.Environment):len(a.Environment)], Mark+"="+a.family.value)
	cmd.Stdout, cmd.Stderr = output.file, output.file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s := &started{cmd: cmd, output: output, done: make(chan struct{}), began: time.Now()}
	if err := cmd.Start(); err != nil {
		output.close()
		return nil, fmt.Errorf("not started: %w", err)
	}
	output.handedOver()
	a.family.begin(cmd.Process.Pid)
	a.running(cmd.Process)
	a.Log.Info("the application started", "pid", cmd.Process.Pid, "command", a.Command[0])
	go a.await(s)
	return s, nil
}

// await takes the status of the first process.
func (a *Application) await(s *started) {
	_ = s.cmd.Wait() // the process state says more than the error
	s.life = time.Since(s.began)
	a.mu.Lock()
	a.process = nil
	a.mu.Unlock()
	a.Log.Info("the application ended", "pid", s.cmd.Process.Pid, "exit", s.cmd.ProcessState.String(), "after", s.life)
	close(s.done)
}

func (a *Application) running(p *os.Process) {
	a.mu.Lock()
	a.process = p
	again := a.state.LastExit != ""
	a.mu.Unlock()
	a.change(func(s *State) {
		s.Running, s.PID, s.Starting, s.Why = true, p.Pid, true, "starting"
		if again {
			s.Restarts++
		}
	})
}
