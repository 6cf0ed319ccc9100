package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// onMachine names what this test program does on a machine, in place of tests:
// its access comes as an argument.
const onMachine = "HOMEOSTAT_TEST_DOOR"

func TestMain(m *testing.M) {
	call, ok := os.LookupEnv(onMachine)
	if !ok {
		testkit.Main(m)
	}
	if err := act(call, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func act(call, text string) error {
	var a Access
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return err
	}
	if err := useLibraries(); err != nil {
		return err
	}
	switch call {
	case "shut":
		return Shut(context.Background(), a)
	case "finish":
		return Finish(context.Background(), a)
	case "open":
		return Open(context.Background(), a)
	case "left":
		left, err := standing(context.Background(), a)
		fmt.Print(strings.Join(left, "\n"))
		return err
	}
	return errors.New("nothing to do: " + call)
}

// useLibraries finds the libraries of the sshd that listens, where it isn't
// installed but unpacked.
func useLibraries() error {
	all, err := processes()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(p process) bool { return p.isListener(all) })
	if i < 0 {
		return errors.New("no sshd listens")
	}
	var path []string
	for _, dir := range []string{"../lib", "../../lib"} {
		found, err := filepath.Glob(filepath.Join(filepath.Dir(all[i].program), dir, "*-linux-gnu*"))
		if err != nil {
			return err
		}
		path = append(path, found...)
	}
	return os.Setenv("LD_LIBRARY_PATH", strings.Join(path, ":"))
}

// standing says what of an access is there.
func standing(ctx context.Context, a Access) ([]string, error) {
	m, err := survey(ctx, a)
	if err != nil {
		return nil, err
	}
	return m.standing()
}
