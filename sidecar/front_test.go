package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/front"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// A front is a cell of a service of its own, beside a sidecar, and serves the
// cells of another, which applications ask for beside themselves.
func TestFront(t *testing.T) {
	needServers(t)
	consul, program, dir := testkit.Consul(t), testkit.Sidecar(t), t.TempDir()
	client, err := fleet.New(fleet.Config{Addresses: []string{consul.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	writeFile(t, filepath.Join(dir, "homeostat.hcl"), fmt.Sprintf(`
consul { address = %q }
service "api" {
  min = 1
  max = 3
  terraform { dir = "api" }
  drain { timeout = "0s" }
  health {
    tcp      = true
    interval = "100ms"
  }
  front {}
}
service "front" {
  min = 1
  max = 3
  terraform { dir = "front" }
  health {
    http     = "/healthz"
    interval = "100ms"
  }
  drain { timeout = "0s" }
}
`, consul.Addr()))
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }))
	defer api.Close()
	_, port, err := net.SplitHostPort(api.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	start := func(args ...string) *exec.Cmd {
		// Not by the test's context, which would kill it: it is to end in order.
		cmd := exec.Command(program, args...)
		cmd.WaitDelay = time.Minute
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, t.Output(), t.Output()
		cmd.Env = append(os.Environ(), "HOMEOSTAT_PORT=", "HOMEOSTAT_SERVICE=", "HOMEOSTAT_CELL=")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // It may have ended.
			_ = cmd.Wait()
		})
		return cmd
	}
	start("run", "-service", "api", "-cell", "api-1", "-port", port)
	// One more only asks: it listens nowhere, so no client is sent to it.
	start("run", "-service", "api", "-cell", "api-2", "--", "sh", "-c", "echo $HOMEOSTAT_SIDECAR >beside; exec sleep 100000")
	door := start("run", "-service", "front", "-cell", "front-1", "--", program, "front")

	var at string
	within(t, "the front to be passing", func() bool {
		m, err := client.Member(t.Context(), "front", "front-1")
		if err != nil || m.Health != fleet.Passing {
			return false
		}
		at = fmt.Sprintf("http://%s:%d", m.Address, m.Port)
		return true
	})
	within(t, "a page", func() bool { return fetched(t, at) == "page" })
	for _, base := range []func() string{
		func() string { return at },
		func() string {
			beside, _ := os.ReadFile(filepath.Join(dir, "beside"))
			return strings.TrimSpace(string(beside))
		},
	} {
		within(t, "the list", func() bool {
			var l front.List
			err := json.Unmarshal([]byte(fetched(t, base()+"/v1/services/api")), &l)
			return err == nil && len(l.Cells) > 0 && l.Cells[0].URL == api.URL
		})
	}
	if err := door.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := door.Wait(); err != nil {
		t.Errorf("the front's sidecar ended with %v", err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://")); err == nil {
		_ = conn.Close()
		t.Error("the front is still there")
	}
}

// fetched is what an address answers; empty where it doesn't.
func fetched(t *testing.T, address string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return ""
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func within(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}
