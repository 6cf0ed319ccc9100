package testkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSSHDIsAMachineOfItsOwn(t *testing.T) {
	s := SSHD(t, SSHDOptions{Users: []string{"birth"}, Disk: 1 << 20})
	got, err := s.Exec(t.Context(), "su", "birth", "-c", "id -un; sudo -n id -un")
	if err != nil || got != "birth\nroot\n" {
		t.Errorf("user and sudo on the machine: %q, %v", got, err)
	}
	if _, err := s.Exec(t.Context(), "sh", "-c", "echo here >/etc/homeostat-was-here"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/etc/homeostat-was-here"); !os.IsNotExist(err) {
		t.Errorf("a file of the machine's /etc is seen outside: %v", err)
	}
	path, err := s.Path("/etc/homeostat-was-here")
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "here\n" {
		t.Errorf("the file seen from outside by its path: %q, %v", content, err)
	}
	if out, err := s.Exec(t.Context(), "dd", "if=/dev/zero", "of=/var/lib/homeostat/x", "bs=64k", "count=64"); err == nil || !strings.Contains(out, "No space left") {
		t.Errorf("a disk of 1 MiB took 4 MiB: %v", err)
	}
}

func TestSSHDTakesAllWithIt(t *testing.T) {
	s := SSHD(t, SSHDOptions{})
	if _, err := s.Exec(t.Context(), "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $! >/var/lib/homeostat/pid"); err != nil {
		t.Fatal(err)
	}
	if len(family(s.PID())) < 2 {
		t.Fatalf("the detached process isn't found below %d", s.PID())
	}
	all := family(s.PID())
	key := s.HostKey()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	// The kernel ends them with the first of them, which takes an instant.
	Await(t, 10*time.Second, func(context.Context) error {
		for _, pid := range all {
			if state, _, ok := look(pid); ok && state != 'Z' {
				return fmt.Errorf("process %d outlives the machine", pid)
			}
		}
		return nil
	})
	if _, err := os.Stat(filepath.Join(s.Directory(), "homeostat", "pid")); err != nil {
		t.Errorf("the disk didn't outlive the machine: %v", err)
	}
	if err := s.NewHostKey(); err != nil || s.HostKey() == key {
		t.Errorf("a new host key is the old one: %v", err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Error(err)
	}
}
