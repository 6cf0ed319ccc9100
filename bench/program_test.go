package bench

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The processors of a benchmark: generator and application share one, the program
// under test has the other to itself.
const (
	theirs = "0"
	ours   = "1"
)

// program is a process on one processor.
type program struct {
	name string
	cmd  *exec.Cmd
	log  string
}

// run starts a program on a processor; it ends with the benchmark, or with stop.
func run(b *testing.B, name, processor, dir string, environment []string, command ...string) *program {
	b.Helper()
	p := &program{name: name, log: filepath.Join(dir, name+".log")}
	log, err := os.Create(p.log)
	must(b, err)
	defer log.Close()
	p.cmd = exec.Command("taskset", append([]string{"-c", processor}, command...)...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.Env = append(os.Environ(), environment...)
	// Should this process die, so does what it started.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	must(b, p.cmd.Start())
	b.Cleanup(p.stop)
	return p
}

// stop ends the program and waits for that.
func (p *program) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = p.cmd.Wait()                          // by a signal
}

// answers waits until a program answers a request at an address.
func (p *program) answers(b *testing.B, address string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	err := testkit.Poll(ctx, time.Minute, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		must(b, conn.SetDeadline(time.Now().Add(5*time.Second)))
		if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", address); err != nil {
			return err
		}
		answer := make([]byte, 12)
		if _, err := conn.Read(answer); err != nil {
			return err
		}
		if string(answer) != "HTTP/1.1 200" {
			return fmt.Errorf("answered %q", answer)
		}
		return nil
	})
	if err != nil {
		said, _ := os.ReadFile(p.log)
		b.Fatalf("%s at %s: %v\n%s", p.name, address, err, said)
	}
}

// cpu is the time that a process and those below it have had of processors, those in
// without left out: nginx works in a child of the process that was started, and below a
// sidecar is the application.
func cpu(b *testing.B, pid int, without ...int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(b, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, err := strconv.Atoi(fields[11])
	must(b, err)
	system, err := strconv.Atoi(fields[12])
	must(b, err)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	spent := time.Duration(user+system) * tick
	for _, child := range childrenOf(b, pid) {
		if !slices.Contains(without, child) {
			spent += cpu(b, child, without...)
		}
	}
	return spent
}

// childrenOf are the processes that a process has started, whichever of its threads did.
func childrenOf(b *testing.B, pid int) (children []int) {
	b.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	must(b, err)
	for _, list := range lists {
		text, err := os.ReadFile(list)
		must(b, err)
		for _, child := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(child)
			must(b, err)
			children = append(children, pid)
		}
	}
	return children
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
