package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// guardianScript is the program of the guardian: it is told on its standard
// input which process groups live, and when that pipe closes, which it does
// however the writer ends, it kills those that are left and removes the
// directory they worked in, and the control groups of machines with all that
// still runs in them. Signals meant
// for the test are not for it.
const guardianScript = `
trap '' HUP INT QUIT TERM
groups= cgroup=
while read -r verb what; do
  case $verb in
  watch) groups="$groups $what" ;;
  sweep) cgroup=$what ;;
  forget)
    kept=
    for g in $groups; do
      [ "$g" = "$what" ] || kept="$kept $g"
    done
    groups=$kept
    ;;
  esac
done
for group in $groups; do
  kill -s KILL -- "-$group" 2>/dev/null
done
tries=0
for group in $groups; do
  while kill -s 0 -- "-$group" 2>/dev/null && [ $tries -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
  done
done
{ [ -z "$cgroup" ] || echo 1 >"$cgroup/cgroup.kill"; } 2>/dev/null # before Linux 5.14 there is none
tries=0 # dead servers that nobody has collected may have used them all
while [ -n "$cgroup" ] && [ -d "$cgroup" ] && [ $tries -lt 100 ]; do
  find "$cgroup" -depth -type d -exec rmdir -- {} + 2>/dev/null && break
  tries=$((tries + 1))
  sleep 0.1
done
rm -rf -- "$1"
`

// guardian is a small shell that outlives this process by the moment it takes
// to end the servers this process started. There is one for all of them.
//
// A deferred call can't do that work: a panic in another goroutine, a test's
// time limit and kill -9 end the process without running it.
type guardian struct {
	directory string // removed by the guardian; servers work below it
	mu        sync.Mutex
	pipe      *os.File
	process   *os.Process
}

// theGuardian is this process's guardian, started with its first server.
var theGuardian struct {
	sync.Mutex
	*guardian
}

// guard returns this process's guardian and starts it if there is none.
func guard() (*guardian, error) {
	theGuardian.Lock()
	defer theGuardian.Unlock()
	if theGuardian.guardian != nil {
		return theGuardian.guardian, nil
	}
	g, err := startGuardian()
	if err != nil {
		return nil, fmt.Errorf("start the guardian of test servers: %w", err)
	}
	theGuardian.guardian = g
	return g, nil
}

func startGuardian() (*guardian, error) {
	directory, err := os.MkdirTemp("", "homeostat-testkit-")
	if err != nil {
		return nil, err
	}
	// PostgreSQL runs under another uid than root's and must pass through.
	if err := os.Chmod(directory, 0o711); err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	cmd := exec.Command("sh", "-c", guardianScript, "homeostat-guardian", directory)
	cmd.Stdin = reader
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		writer.Close()
		return nil, err
	}
	return &guardian{directory: directory, pipe: writer, process: cmd.Process}, nil
}

// tell sends one line. A line is far below the size up to which writes to a
// pipe are atomic, and it stays in the pipe even if this process dies next.
func (g *guardian) tell(verb string, what any) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := fmt.Fprintf(g.pipe, "%s %v\n", verb, what); err != nil {
		return fmt.Errorf("tell the guardian to %s %v: %w", verb, what, err)
	}
	return nil
}

// dismiss closes the pipe and waits until the guardian has killed what is left
// and removed the directory.
func dismissGuardian() error {
	theGuardian.Lock()
	defer theGuardian.Unlock()
	g := theGuardian.guardian
	if g == nil {
		return nil
	}
	theGuardian.guardian = nil
	if err := g.pipe.Close(); err != nil {
		return fmt.Errorf("dismiss the guardian: %w", err)
	}
	if _, err := g.process.Wait(); err != nil {
		return fmt.Errorf("wait for the guardian: %w", err)
	}
	return nil
}
