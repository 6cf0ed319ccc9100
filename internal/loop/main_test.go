package loop

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
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

// unmeasured is an application that is well and has no metrics.
type unmeasured struct{}

func (unmeasured) Well() (bool, string) { return true, "" }

func (unmeasured) Scrape(context.Context) (*sense.Scrape, error) {
	return nil, errors.New("no metrics")
}

func (unmeasured) Drain(context.Context, bool) error { return nil }
