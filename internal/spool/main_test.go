package spool

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		fmt.Fprintln(os.Stderr, serveSpool())
		os.Exit(1)
	}
	testkit.Main(m)
}

// leaks checks, at the test's end, that no goroutine is left.
func leaks(t *testing.T) {
	t.Helper()
	already := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, already) })
}
