package testkit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// traces are what there is on a host because of a network with machines.
type traces struct {
	Directory, Device, Cgroup string
	Namespaces                []string
	Processes                 []int
}

// tracesOf lists them: the namespaces that the processes of the network are in
// and the caller isn't, and every process in one of them, whoever began it.
func tracesOf(n *MachineNet, g *guardian) traces {
	t := traces{Directory: g.directory, Device: n.device(), Cgroup: filepath.Join(n.cgroups, filepath.Dir(n.cgroup))}
	boxes := []int{n.box.PID()}
	for _, m := range n.present() {
		boxes = append(boxes, m.box.PID())
	}
	own, theirs := namespacesOf(os.Getpid()), map[string]bool{}
	for _, box := range boxes {
		for _, pid := range append(family(box), box) {
			for namespace := range namespacesOf(pid) {
				theirs[namespace] = !own[namespace]
			}
		}
	}
	for namespace, are := range theirs {
		if are {
			t.Namespaces = append(t.Namespaces, namespace)
		}
	}
	for _, pid := range everyProcess() {
		for namespace := range namespacesOf(pid) {
			if theirs[namespace] {
				t.Processes = append(t.Processes, pid)
				break
			}
		}
	}
	return t
}

func everyProcess() []int {
	directories, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var pids []int
	for _, directory := range directories {
		if pid, err := strconv.Atoi(filepath.Base(directory)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func namespacesOf(pid int) map[string]bool {
	found := map[string]bool{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/ns/*", pid))
	if err != nil {
		return nil
	}
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil {
			found[name] = true
		}
	}
	return found
}

// left says what is still there of them. A namespace without a process is there
// as long as it is mounted somewhere.
func (t traces) left() error {
	var left []error
	for _, pid := range t.Processes {
		if state, _, ok := look(pid); ok && state != 'Z' {
			left = append(left, fmt.Errorf("process %d in state %c", pid, state))
		}
	}
	for _, path := range []string{t.Directory, t.Cgroup, filepath.Join("/sys/class/net", t.Device)} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			left = append(left, fmt.Errorf("%s is there: %w", path, err))
		}
	}
	for _, pid := range everyProcess() {
		mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
		if err != nil {
			continue // it ended meanwhile
		}
		for _, trace := range append(t.Namespaces, t.Directory) {
			if strings.Contains(string(mounts), trace) {
				left = append(left, fmt.Errorf("process %d sees a mount of %s", pid, trace))
			}
		}
	}
	return errors.Join(left...)
}

// abandonMachines boots machines, prints their traces, and waits to be killed, or
// ends with what Main ends with. Booting, it prints those of the network before
// it boots any.
func abandonMachines(how string) error {
	early := how == "booting"
	ctx := context.Background()
	n, err := StartMachines(ctx, 2)
	if err != nil {
		return err
	}
	g, err := guard()
	if err != nil {
		return err
	}
	tell := func() error { return json.NewEncoder(os.Stdout).Encode(tracesOf(n, g)) }
	if early {
		if err := tell(); err != nil {
			return err
		}
	}
	for _, spec := range []MachineSpec{{Disk: 64 << 20, UserData: "#!/bin/sh\nexec sleep 1000\n"}, {Booted: true}} {
		if _, err := n.StartMachine(ctx, spec); err != nil {
			return err
		}
	}
	if !early {
		if err := tell(); err != nil {
			return err
		}
	}
	if how == "ending" {
		return errors.Join(dismissGuardian(), errors.New("ended as by Main"))
	}
	select {}
}

// A test that ends without closing its machines, or is killed while they run or
// at any instant of their boot, leaves no process, mount, namespace, link, control
// group or file of them. Beside it another process has a network of its own.
func TestNoMachineIsLeftOfAKilledTest(t *testing.T) {
	short(t)
	t.Parallel()
	own := MachinesFor(t, 1)
	for _, c := range []struct {
		how   string
		after time.Duration
	}{{"ending", 0}, {"machines", 0}, {"booting", 50 * time.Millisecond}, {"booting", 300 * time.Millisecond}, {"booting", 700 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%s %s", c.how, c.after), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), abandonVariable+"="+c.how)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var there traces
			if err := json.NewDecoder(bufio.NewReader(stdout)).Decode(&there); err != nil {
				t.Fatal(err)
			}
			if there.Device == own.device() {
				t.Errorf("two processes have one network, %s", there.Device)
			}
			if len(there.Namespaces) == 0 || (c.how == "machines" && (there.left() == nil || len(there.Processes) < 10)) {
				t.Errorf("the machines have fewer traces than machines have: %+v", there)
			}
			time.Sleep(c.after) // an instant of the boot
			if c.how != "ending" {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the process ended well")
			}
			Await(t, 30*time.Second, func(context.Context) error { return there.left() })
		})
	}
}

// Closed, a network leaves no more than its process's directory and control group.
func TestNoMachineIsLeftOfAClosedNetwork(t *testing.T) {
	short(t)
	t.Parallel()
	n := MachinesFor(t, 1)
	m := n.Boot(MachineSpec{Disk: 64 << 20})
	g, err := guard()
	if err != nil {
		t.Fatal(err)
	}
	there := tracesOf(n, g)
	there.Directory, there.Cgroup = m.box.directory, filepath.Join(n.cgroups, n.cgroup)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", n.box.PID()))
	if err != nil || strings.Contains(string(mounts), m.box.directory) {
		t.Errorf("the disk of a closed machine is still mounted at the switch: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := there.left(); err != nil {
		t.Error(err)
	}
}
