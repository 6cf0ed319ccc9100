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

// leave leaves a file with messages in a folder for a topic.
func leave(t *testing.T, dir, topic string) {
	t.Helper()
	folder := filepath.Join(dir, topic)
	if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, unsent.Name(0, 1, 2)), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestOrphans tells cells that are gone from those that aren't, and from others'. Their
// spools lie side by side, or in data directories that do.
func TestOrphans(t *testing.T) {
	spools, data := t.TempDir(), t.TempDir()
	for cell, topic := range map[string]string{"api-1": "pages", "api-2": "pages", "api-3": "pages", "api-4": "old", "web-1": "pages", "api-v2-1": "pages", "api-": "pages", "api-2x": "pages"} {
		leave(t, filepath.Join(spools, cell), topic)
	}
	leave(t, filepath.Join(data, "api-5", "spool", "api-5"), "pages")
	if err := os.Mkdir(filepath.Join(data, "api-6"), 0o700); err != nil { // it has never had one
		t.Fatal(err)
	}
	var away error
	asked := 0
	var log bytes.Buffer
	a := &adopter{
		service: "api", cell: "api-1", places: []spoolPlace{{root: spools}, {data, "spool"}}, topics: []string{"pages"}, told: map[string]bool{},
		members: func(context.Context, string) ([]fleet.Member, error) {
			asked++
			return []fleet.Member{{Cell: fleet.Cell{Name: "api-2"}}}, away
		},
		log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	want := []orphan{{"api-3", filepath.Join(spools, "api-3")}, {"api-4", filepath.Join(spools, "api-4")}, {"api-5", filepath.Join(data, "api-5", "spool", "api-5")}}
	if got := a.orphans(t.Context()); !slices.Equal(got, want) {
		t.Errorf("orphans %v", got)
	}
	for _, o := range []orphan{want[0], want[2]} {
		if got := a.unsent(o); !slices.Equal(got, []string{"pages"}) || log.Len() > 0 {
			t.Errorf("topics %v, %s", got, log.String())
		}
	}
	for range 2 {
		if got := a.unsent(want[1]); got != nil || strings.Count(log.String(), "topic=old") != 1 {
			t.Errorf("topics %v, %s", got, log.String())
		}
	}
	away = errors.New("Consul is away")
	if got := a.orphans(t.Context()); got != nil {
		t.Errorf("while Consul is away: %v", got)
	}
	a.places = []spoolPlace{{root: t.TempDir()}}
	if asked = 0; len(a.orphans(t.Context())) != 0 || asked != 0 {
		t.Errorf("asked Consul %d times though no other cell has a folder", asked)
	}
}

// TestTidy removes what cells that are gone for good have left empty.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	all := []string{"api-1", "api-2", "api-3"}
	var left []orphan
	for _, cell := range all {
		left = append(left, orphan{cell, filepath.Join(dir, cell)})
		if err := os.MkdirAll(filepath.Join(dir, cell, "pages"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	leave(t, filepath.Join(dir, "api-3"), "pages")
	var record fleet.Record
	away := errors.New("Consul is away")
	a := &adopter{
		service: "api", log: slog.New(slog.DiscardHandler), told: map[string]bool{},
		record: func(context.Context, string) (*fleet.Record, uint64, error) { return &record, 0, away },
	}
	for _, c := range []struct {
		why   string
		names []string
		err   error
		want  []string
	}{
		{"the record can't be read", nil, away, all},
		{"a bare count", nil, nil, all},
		{"api-1 is to be", []string{"api-1"}, nil, []string{"api-1", "api-3"}},
		{"all are gone", []string{}, nil, []string{"api-3"}},
	} {
		record.Names, away = c.names, c.err
		a.tidy(t.Context(), slices.Clone(left))
		entries, err := os.ReadDir(dir)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if err != nil || !slices.Equal(names, c.want) {
			t.Errorf("%s: left %v, want %v (%v)", c.why, names, c.want, err)
		}
	}
}

// TestSpoolGivenBack has a cell come back while another sends its spool: it begins,
// though the broker is away and nothing could be sent. Each has its spool in its own data
// directory. A policy without the spool, read meanwhile, changes nothing before the
// next start.
func TestSpoolGivenBack(t *testing.T) {
	needServers(t)
	block := `spool { topics = ["pages"] }`
	h := newHouse(t, houseOptions{Above: awayKafka, Policy: block + "\n" + `drain { timeout = "1s" }`})
	environment := slices.Clip(h.env)
	begin := func(cell string) *ownCell {
		data := filepath.Join(h.dir, "data", cell)
		h.must(os.MkdirAll(data, 0o700))
		h.env = append(environment, "HOMEOSTAT_DATA_DIRECTORY="+data)
		return h.beginCell(cell)
	}
	first := begin("pod-1")
	if status, err := first.post(t.Context(), "pages"); err != nil || status != http.StatusAccepted {
		t.Fatal(status, err)
	}
	first.end(syscall.SIGTERM)
	h.deregister("pod-1")
	second := begin("pod-2")
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

	first = begin("pod-1")
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
