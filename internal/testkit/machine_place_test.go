package testkit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// abandonPlace starts what outlives this process in a place, prints the place's
// group, and waits to be killed.
func abandonPlace() error {
	p, err := TakeMachinePlace(context.Background(), 1)
	if err != nil {
		return err
	}
	group := filepath.Join(p.mount, p.Cgroup)
	if err := os.MkdirAll(group, 0o755); err != nil {
		return err
	}
	if err := machine.Launch([]string{"sleep", "1000"}, group, os.DevNull); err != nil {
		return err
	}
	other := exec.Command("sleep", "1000")
	if err := errors.Join(other.Start(), p.Adopt(other.Process.Pid)); err != nil {
		return err
	}
	fmt.Println(group)
	select {}
}

// What runs in a place for machines ends with the process that took it, however
// that ends.
func TestMachinePlaceIsCleared(t *testing.T) {
	short(t)
	t.Parallel()
	own := MachinePlaceFor(t, 1)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), abandonVariable+"=place")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	group, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	group = strings.TrimSpace(group)
	pids, err := machine.CgroupProcesses(group)
	if err != nil || len(pids) != 2 || group == filepath.Join(own.mount, own.Cgroup) {
		t.Errorf("in %s run %v: %v", group, pids, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended well")
	}
	Await(t, 30*time.Second, func(context.Context) error {
		if _, err := os.Stat(group); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is there: %w", group, err)
		}
		return nil
	})
}
