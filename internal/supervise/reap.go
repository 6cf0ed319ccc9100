package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// look is how often the processes are looked at where no signal says that one
// has ended. What was seen in the family is recognised after it has become an
// orphan.
const look = 5 * time.Second

// reap takes the status of orphans that have become children of this process,
// as it is PID 1 or a subreaper, until ctx ends. They would stay zombies
// otherwise.
//
// It must never take the status of a child that os/exec waits for: that Wait
// would fail with ECHILD, and a Terraform that succeeded would count as
// failed. So nothing is waited for with wait4(-1). Each zombie child is looked
// at by itself, judged by family.orphan, and then waited for by its id; as a
// zombie's id isn't given to anybody else before it was waited for, there is
// no race in between. Children of this program that no one waits for yet are
// left alone, however long. Nothing in this program may start a process in a
// session of its own and wait for it.
func (a *Application) reap(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	tick := time.NewTicker(look)
	defer tick.Stop()
	told := ""
	for {
		if err := a.reapOnce(); err != nil && err.Error() != told {
			told = err.Error()
			a.Log.Warn("could not take the status of ended processes", "error", err)
		}
		select {
		case <-ended:
			_ = wait.For(ctx, eager) // several often end together
		case <-tick.C:
		case <-ctx.Done():
			_ = a.reapOnce() // the last ones; this program ends anyway
			return
		}
	}
}

// reapOnce takes the status of the orphans that have ended by now.
func (a *Application) reapOnce() error {
	all, _, err := a.family.survey(false)
	if err != nil {
		return err
	}
	for _, m := range all {
		if !m.zombie || m.parent != a.family.self || !a.family.orphan(m) {
			continue
		}
		if _, err := syscall.Wait4(m.pid, nil, syscall.WNOHANG, nil); err != nil && !errors.Is(err, syscall.ECHILD) {
			return fmt.Errorf("take the status of process %d: %w", m.pid, err)
		}
	}
	return nil
}
