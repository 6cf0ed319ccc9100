package sense

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// leavesNothing fails the test if goroutines that it started outlive it and
// what it cleans up. It is called first, so that it looks last.
func leavesNothing(tb testing.TB) {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() { goleak.VerifyNone(tb, before) })
}
