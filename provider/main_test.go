package main

import (
	"os"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The test binary is also the sidecar of the cells that these tests bear: what
// kind of one is said by this variable.
const standInVariable = "PROVIDER_TEST_SIDECAR"

func TestMain(m *testing.M) {
	if kind := os.Getenv(standInVariable); kind != "" {
		runStandIn(strings.Fields(kind))
		return
	}
	testkit.Main(m)
}
