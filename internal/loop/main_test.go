package loop

import (
	"os"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestMain lets the test binary be the sidecars of many cells when a benchmark's
// environment says so.
func TestMain(m *testing.M) {
	if os.Getenv(manyVariable) != "" {
		beMany()
		return
	}
	testkit.Main(m)
}
