package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// awayKafka is a block kafka of which no broker can be reached.
const awayKafka = "kafka {\n brokers = [\"127.0.0.1:1\"]\n timeout = \"1s\"\n}\n"

// post gives the cell a message and returns the status of the answer.
func (s *ownCell) post(ctx context.Context, topic string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.beside()+"/v1/queue/"+topic, strings.NewReader("x"))
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// says waits until a cell's log has a text.
func (s *ownCell) says(text string) {
	s.t.Helper()
	testkit.Await(s.t, patience, func(context.Context) error {
		log, err := os.ReadFile(s.log)
		if err == nil && !strings.Contains(string(log), text) {
			err = fmt.Errorf("%s doesn't say %q:\n%s", s.log, text, log)
		}
		return err
	})
}

// TestOrphans tells cells that are gone from those that aren't, and from others'.
func TestOrphans(t *testing.T) {
	dir := t.TempDir()
	for cell, topic := range map[string]string{"api-1": "pages", "api-2": "pages", "api-3": "pages", "api-4": "old", "web-1": "pages"} {
		folder := filepath.Join(dir, cell, topic)
		if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, unsent.Name(0, 1, 2)), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var away error
	var log bytes.Buffer
	a := &adopter{
		service: "api", cell: "api-1", dir: dir, topics: []string{"pages"}, told: map[string]bool{},
		members: func(context.Context, string) ([]fleet.Member, error) {
			return []fleet.Member{{Cell: fleet.Cell{Name: "api-2"}}}, away
		},
		log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	if got := a.orphans(t.Context()); !slices.Equal(got, []string{"api-3", "api-4"}) {
		t.Errorf("orphans %v", got)
	}
	if got := a.unsent("api-3"); !slices.Equal(got, []string{"pages"}) || log.Len() > 0 {
		t.Errorf("topics %v, %s", got, log.String())
	}
	for range 2 {
		if got := a.unsent("api-4"); got != nil || strings.Count(log.String(), "topic=old") != 1 {
			t.Errorf("topics %v, %s", got, log.String())
		}
	}
	away = errors.New("Consul is away")
	if got := a.orphans(t.Context()); got != nil {
		t.Errorf("while Consul is away: %v", got)
	}
}

// TestSpoolGivenBack has a cell come back while another sends its spool: it begins,
// though the broker is away and nothing could be sent. A policy without the spool,
// read meanwhile, changes nothing before the next start.
func TestSpoolGivenBack(t *testing.T) {
	needServers(t)
	block := `spool { topics = ["pages"] }`
	h := newHouse(t, houseOptions{Above: awayKafka, Policy: block + "\n" + `drain { timeout = "1s" }`})
	first := h.beginCell("pod-1")
	if status, err := first.post(t.Context(), "pages"); err != nil || status != http.StatusAccepted {
		t.Fatal(status, err)
	}
	first.end(syscall.SIGTERM)
	h.deregister("pod-1")
	second := h.beginCell("pod-2")
	second.says("sending what a cell that is gone has left in its spool")
	beside := second.beside()
	testkit.Await(t, patience, func(ctx context.Context) error {
		v, err := second.spooled(ctx, beside)
		if err == nil && (v.Adopted["pod-1"]["pages"] != 1 || v.SpoolTotal() != 0) {
			err = fmt.Errorf("the vitals have %v, and adopted %v", v.Spools, v.Adopted)
		}
		return err
	})

	text, err := os.ReadFile(h.policy())
	h.must(err)
	h.write("homeostat.hcl", strings.Replace(string(text), block, "", 1))
	h.must(second.cmd.Process.Signal(syscall.SIGHUP))
	second.says("the policy was read again")
	if status, err := second.post(t.Context(), "pages"); err != nil || status != http.StatusAccepted {
		t.Errorf("after the policy was read again: %d, %v", status, err)
	}
	h.write("homeostat.hcl", string(text))

	first = h.beginCell("pod-1")
	testkit.Await(t, patience, func(ctx context.Context) error {
		v, err := first.spooled(ctx, first.beside())
		if err == nil && v.Spools["pages"] != 1 {
			err = fmt.Errorf("pod-1 holds %v", v.Spools)
		}
		return err
	})
	first.end(syscall.SIGTERM)
	second.end(syscall.SIGTERM)
}

// TestSpooledCellEnds has a cell with a spool end by itself, as nobody is there to be
// its partner.
func TestSpooledCellEnds(t *testing.T) {
	needServers(t)
	h := newHouse(t, houseOptions{
		Above: awayKafka + "service \"db\" {\n min = 0\n max = 1\n lead = []\n terraform { dir = \"db\" }\n}\n",
		Policy: `spool { topics = ["pages"] }
needs     = ["db"]
pair      = "db"
pair_wait = "1s"
lead      = []
drain { timeout = "0s" }`,
	})
	s := h.beginCell("pod-1")
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	select {
	case err := <-ended:
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		t.Error("it doesn't end")
	}
	s.says("find a partner of service db")
}
