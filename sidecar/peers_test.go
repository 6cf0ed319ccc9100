package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// TestPeers has cells that share a key: without it nobody reads their vitals or
// has them drain, and their leader, the provider and whoever else has it does.
func TestPeers(t *testing.T) {
	h := faulty(t, houseOptions{Min: 2, Initial: 2, Above: `peers { key_file = "peers.key" }`, Policy: `drain { timeout = "1s" }`})
	key := filepath.Join(h.dir, "peers.key")
	writeKey(t, key, "first")
	h.env = append(h.env, peersKeyFile+"="+key)
	h.apply()
	h.settled(2, patience)
	members, err := h.fleet.Members(t.Context(), "pod")
	h.must(err)
	vitals := members[0].Vitals

	stranger := filepath.Join(h.dir, "stranger.key")
	writeKey(t, stranger, "other")
	for name, ask := range map[string]http.RoundTripper{"without a key": http.DefaultTransport, "with another key": signed(t, stranger)} {
		for _, call := range []struct{ method, path string }{{http.MethodGet, sense.VitalsPath}, {http.MethodPut, cell.DrainPath}, {http.MethodDelete, cell.DrainPath}} {
			if status, err := request(t, ask, call.method, vitals+call.path+"?cell="+members[0].ID()); status != http.StatusUnauthorized && !errors.Is(err, peer.ErrRefused) {
				t.Errorf("%s: %s %s: %d, %v", name, call.method, call.path, status, err)
			}
		}
	}
	if m, err := h.fleet.Member(t.Context(), "pod", members[0].Name); err != nil || m.Health != fleet.Passing {
		t.Errorf("a stranger had it drain: %v, %v", m, err)
	}
	if status, err := request(t, signed(t, key), http.MethodGet, vitals+sense.VitalsPath); status != http.StatusOK {
		t.Errorf("with the key: %d, %v", status, err)
	}
	h.await("the leader hears its siblings", func(context.Context) error {
		if d := h.status().Last; d == nil || strings.Contains(fmt.Sprint(d.Decision.Unknown), "vitals") {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})

	// The key is changed without a gap: first it is known everywhere, then it signs.
	writeKey(t, key, "second", "first")
	if status, err := request(t, signed(t, key), http.MethodGet, vitals+sense.VitalsPath); status != http.StatusOK {
		t.Errorf("with the new key: %d, %v", status, err)
	}
	// A person's own destroy drains them by the key.
	h.destroy()
	if left := h.processes(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestListenOffLoopback refuses to serve vitals to everybody.
func TestListenOffLoopback(t *testing.T) {
	h := faulty(t, houseOptions{})
	out, code := h.homeostat("run", "-policy", h.policy(), "-service", "pod", "-listen", "0.0.0.0:0")
	if code != 1 || !strings.Contains(out, "off loopback, whoever reaches this address could have the cell drain") || !strings.Contains(out, "key_file") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// writeKey writes keys, one a line, as long as a key has to be.
func writeKey(t *testing.T, path string, names ...string) {
	t.Helper()
	var lines []string
	for _, name := range names {
		lines = append(lines, strings.Repeat(name+"-", 8))
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func signed(t *testing.T, key string) http.RoundTripper {
	t.Helper()
	keys, err := peer.ReadKeys(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return keys.Transport(http.DefaultTransport)
}

// request makes one, and returns its status; of vitals also whether they are such.
func request(t *testing.T, through http.RoundTripper, method, url string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: through}).Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, &sense.Vitals{})
	}
	return answer.StatusCode, err
}
