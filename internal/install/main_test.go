package install

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// cutProcess makes this test program, in place of tests, an installation or a
// removal that is killed at the n-th point between two changes of the disk. Its
// arguments are what to do, n (0: never), the root and the request.
const cutProcess = "HOMEOSTAT_TEST_INSTALL"

func TestMain(m *testing.M) {
	if os.Getenv(cutProcess) == "" {
		testkit.Main(m)
	}
	if err := cut(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func cut(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var r Request
	if err := json.Unmarshal([]byte(args[3]), &r); err != nil {
		return err
	}
	m := machineAt(args[2])
	m.at = func() {
		if n--; n == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it has come
		}
	}
	if args[0] == "remove" {
		return m.Remove(context.Background())
	}
	return m.Install(context.Background(), r, func(string) {})
}

// machineAt is a machine below a folder, which notes in a file which door was
// opened.
func machineAt(root string) *Machine {
	m := This(slog.New(slog.DiscardHandler))
	m.Root = root
	m.OpenDoor = func(_ context.Context, a door.Access) error {
		return os.WriteFile(root+"/opened", []byte(a.User), 0o600)
	}
	return m
}
