package bench

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// beside builds what is measured and has this process, and the servers it starts from
// now on, share the processor of generator and application.
func beside(b *testing.B) {
	b.Helper()
	generator(b)
	testkit.Sidecar(b)
	out, err := exec.CommandContext(b.Context(), "taskset", "-apc", theirs, strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		b.Fatalf("keep to processor %s: %v: %s", theirs, err, out)
	}
}

// first has this process, and what it starts from here on, go before the other work
// of the machine, where it may: else a busy machine is measured.
func first(b *testing.B) {
	b.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	must(b, err)
	turns := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	for _, task := range tasks {
		id, _ := strconv.Atoi(task.Name()) // the kernel writes it so
		if err := unix.SchedSetAttr(id, &turns, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			b.Logf("the machine's other work goes on beside this, at the same priority: %v", err)
			return
		}
	}
}

// ownCPU is the time that this process has had of processors.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
