package bundle

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// leavesNothing fails the test if goroutines that it started outlive it and what it
// cleans up. It is called first, so that it looks last.
func leavesNothing(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
}
