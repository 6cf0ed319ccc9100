package birth

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is also the program that the cells of these tests run: which
// one is said by this variable.
const programVariable = "BIRTH_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if program := os.Getenv(programVariable); program != "" {
		// Nothing of a test outlives it by more than this, whatever fails.
		time.AfterFunc(2*time.Minute, func() { os.Exit(9) })
		runProgram(strings.Fields(program))
		return
	}
	goleak.VerifyTestMain(m)
}

func runProgram(words []string) {
	switch words[0] {
	case "wait":
		signal.Ignore(syscall.SIGHUP)
		ready()
		select {}
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
		ready()
		select {}
	case "clobbered":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
		clobber()
		ready()
		select {}
	case "fail":
		fmt.Println("no such table")
		os.Exit(3)
	case "tree":
		plant(words[1:])
	case "start":
		startAgain(words[1], words[2])
	case "describe":
		describe()
		ready()
		select {}
	}
}

func ready() { fmt.Println("ready", os.Getpid()) }

// plant starts each of the named children, and waits. A name with "+" before
// it begins a session of its own, one with "@" before it is marked as another
// cell's.
func plant(children []string) {
	signal.Ignore(syscall.SIGHUP)
	for _, name := range children {
		cmd := exec.Command(os.Args[0])
		program := strings.TrimLeft(name, "+@")
		cmd.Env = append(os.Environ(), programVariable+"="+program)
		if strings.Contains(name, "@") {
			cmd.Env = append(cmd.Env, Marker+"=other.1")
		}
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: strings.Contains(name, "+")}
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	ready()
	select {}
}

// clobber overwrites this program's own environment, as those do that write
// their title there.
func clobber() {
	b, err := os.ReadFile("/proc/self/stat")
	must(err)
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	from, err := strconv.ParseInt(fields[47], 10, 64)
	must(err)
	to, err := strconv.ParseInt(fields[48], 10, 64)
	must(err)
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	must(err)
	_, err = mem.WriteAt(bytes.Repeat([]byte{'x'}, int(to-from)), from)
	must(err)
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// startAgain begins a cell as the provider would, in a process that a test can
// kill at any instant.
func startAgain(dir, incarnation string) {
	p := newTestProcesses(dir)
	h, err := p.Hold(contextOfProgram(), "crawler", "crawler-1")
	must(err)
	spec := testSpec("wait")
	spec.Incarnation = incarnation
	fmt.Println("go")
	_, err = h.Start(spec)
	must(err)
	select {}
}

func describe() {
	p, _, err := stat(os.Getpid())
	must(err)
	fmt.Println("session", p.Session == p.PID)
	entries, err := os.ReadDir("/proc/self/fd")
	must(err)
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err == nil && !strings.HasPrefix(target, "anon_inode:") && !strings.HasPrefix(target, "/proc/") && !strings.HasPrefix(target, "/sys/") {
			fmt.Println("fd", entry.Name(), target)
		}
	}
	dir, err := os.Getwd()
	must(err)
	fmt.Println("directory", dir)
	for _, entry := range os.Environ() {
		if strings.HasPrefix(entry, "HOMEOSTAT_") || strings.HasPrefix(entry, "TF_") {
			fmt.Println("env", entry)
		}
	}
}

func newTestProcesses(dir string) *Processes {
	host, err := ThisHost()
	must(err)
	// What the tests themselves are told by such variables is not a leader's.
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "HOMEOSTAT_") })
	p, err := NewProcesses(dir, host, append(environ, "TF_LOG=trace", Marker+"=leader.1"), slog.New(slog.DiscardHandler))
	must(err)
	return p
}

// testSpec is a cell that runs one of the programs above.
func testSpec(program string) Spec {
	return Spec{
		Service: "crawler", Name: "crawler-1", Incarnation: "01a", Command: []string{os.Args[0]},
		Environment: map[string]string{programVariable: program}, BornAt: time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC),
	}
}

// store makes folders in a temporary directory, and sees to it that no process
// of the test's cells is left.
func store(t *testing.T) *Processes {
	t.Helper()
	p := newTestProcesses(filepath.Join(t.TempDir(), "cells"))
	t.Cleanup(func() { killLogged(t, p) })
	return p
}
