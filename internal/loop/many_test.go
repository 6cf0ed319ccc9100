package loop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/cell"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// manyVariable has the test binary be many sidecars: it holds the path of the key,
// the number of cells and the address of a Consul, which each registers at and
// watches as a sidecar does, separated by spaces.
const manyVariable = "HOMEOSTAT_TEST_MANY"

// oneAfterTheOther is between the starts of two cells: a thousand that begin at the
// same instant are not what is measured, and try again and again on a slow machine.
const oneAfterTheOther = 20 * time.Millisecond

// beMany is the sidecars of a service's cells, in a process of their own: each has
// its own port, answers for its vitals to whoever has the key, and is real where
// it meets Consul. As many as a line of standard input says answer nobody who asks
// for vitals.
func beMany() {
	parts := strings.Fields(os.Getenv(manyVariable))
	count, err := strconv.Atoi(parts[1])
	if err != nil {
		panic(err)
	}
	keys, err := peer.ReadKeys(parts[0], slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	var silent atomic.Int64
	var wg sync.WaitGroup
	ctx := context.Background() // they run until the process ends
	for i := range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		one := oneOfMany(i, "http://"+listener.Addr().String(), parts[2])
		guarded := peer.NewVerifier(keys, time.Now).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if int64(i) < silent.Load() {
				<-r.Context().Done()
				return
			}
			_ = json.NewEncoder(w).Encode(vitalsOfMany(i))
		}))
		server := &http.Server{Handler: guarded, ReadHeaderTimeout: time.Minute}
		wg.Go(func() { _ = server.Serve(listener) })
		wg.Go(func() { _ = one.Run(ctx) })
		time.Sleep(oneAfterTheOther)
	}
	fmt.Println("up")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		n, _ := strconv.Atoi(lines.Text())
		silent.Store(int64(n))
	}
	os.Exit(0) // whoever wanted them is gone
}

func oneOfMany(i int, url, consul string) *cell.Cell {
	client, err := fleet.New(fleet.Config{Addresses: []string{consul}})
	if err != nil {
		panic(err)
	}
	return cell.New(cell.Config{
		Service:  &policy.Service{Name: "many", Beat: 5 * time.Second},
		Identity: fleet.Cell{Service: "many", Name: cellName("many", i), Incarnation: "x", TTL: 30 * time.Second, Vitals: url},
		App:      unmeasured{}, Fleet: client, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
}

// vitalsOfMany are those of a cell with a histogram as applications have them.
func vitalsOfMany(i int) sense.Vitals {
	now := time.Now()
	return sense.Vitals{
		Service: "many", Cell: cellName("many", i), Incarnation: "x", Version: "1", Well: true, Ready: true,
		InFlight: reading.Of(3, now), Busy: reading.Of(0.6, now), BusySource: "a gauge",
		Offered: reading.Of(60, now), Served: reading.Of(60, now), Refused: reading.Of(0, now),
		Latency: &sense.Increase{
			Bounds: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}, // client_golang's
			Counts: []float64{900, 900, 900, 500, 300, 50, 30, 10, 5, 3, 1, 1}, Sum: 90, Span: time.Minute,
		},
	}
}

// manyCells starts the process and waits for it.
func manyCells(b *testing.B, count int, consul string) (keys *peer.Keys, silence func(int), pid int) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "key")
	if err := os.WriteFile(path, []byte(strings.Repeat("k", 64)+"\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	keys, err := peer.ReadKeys(path, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", manyVariable, path, count, consul))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err, err2, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() }) // it ends with its input
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
		b.Fatal(line, err)
	}
	return keys, func(n int) {
		if _, err := io.WriteString(in, strconv.Itoa(n)+"\n"); err != nil {
			b.Fatal(err)
		}
	}, cmd.Process.Pid
}
