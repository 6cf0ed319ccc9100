package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/replyto"
)

// sibling is one of two cells with proxy and spool, whose application is serveAPI.
type sibling struct {
	*ownCell
	name, url string // url is where callers reach it
}

func (h *house) beginSibling(name string) *sibling {
	h.t.Helper()
	self, err := os.Executable()
	h.must(err)
	s := &sibling{ownCell: &ownCell{house: h, log: filepath.Join(h.dir, name+".log")}, name: name}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	h.must(err)
	defer out.Close()
	s.cmd = exec.Command(h.program, "run", "-policy", h.policy(), "-service", "pod", "-cell", name,
		"--", "sh", "-c", `echo $HOMEOSTAT_SIDECAR >$HOMEOSTAT_CELL.new && mv $HOMEOSTAT_CELL.new $HOMEOSTAT_CELL.beside && exec "$0"`, self)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = h.dir, append(h.env, apiVariable+"=1"), out, out
	h.must(s.cmd.Start())
	testkit.Await(h.t, patience, func(ctx context.Context) error {
		m, err := h.fleet.Member(ctx, "pod", name)
		if err != nil {
			return err
		}
		if m.Health != fleet.Passing {
			return fmt.Errorf("%s is %s", name, m.Health)
		}
		s.url = "http://" + net.JoinHostPort(m.Address, strconv.Itoa(m.Port))
		return nil
	})
	return s
}

// beside is where the application finds the sidecar.
func (s *sibling) beside() string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, s.name+".beside"))
	s.must(err)
	return strings.TrimSpace(string(b))
}

// gives has the spool beside it take a message.
func (s *sibling) gives(message string) {
	s.t.Helper()
	answer, err := http.Post(s.beside()+"/v1/queue/pages", "text/plain", strings.NewReader(message))
	s.must(err)
	text, err := io.ReadAll(answer.Body)
	s.must(errors.Join(err, answer.Body.Close()))
	if answer.StatusCode != http.StatusAccepted {
		s.t.Fatalf("the spool answered %s: %s", answer.Status, text)
	}
}

// empties waits until the cell's spool holds nothing.
func (s *sibling) empties() {
	s.t.Helper()
	testkit.Await(s.t, patience, func(ctx context.Context) error {
		v, err := s.spooled(ctx, s.beside())
		if err == nil && v.Spools["pages"] != 0 {
			err = fmt.Errorf("the spool of %s holds %v", s.name, v.Spools)
		}
		return err
	})
}

// fill sends clients to a cell up to its limit, which are answered once the file is there.
func (s *sibling) fill(clients int, file string) (ended func()) {
	s.t.Helper()
	all := make(chan error, clients)
	for range clients {
		go func() {
			answer, err := http.Get(s.url + "/slow?file=" + file)
			if err == nil {
				err = answer.Body.Close()
			}
			all <- err
		}()
	}
	testkit.Await(s.t, patience, func(ctx context.Context) error {
		v, err := s.spooled(ctx, s.beside())
		if err == nil && v.InFlight.Value != float64(clients) {
			err = fmt.Errorf("%v are in flight", v.InFlight)
		}
		return err
	})
	return func() {
		s.t.Helper()
		s.must(os.WriteFile(file, nil, 0o600))
		for range clients {
			s.must(<-all)
		}
	}
}

// late sends one client after another who is answered out of bounds, and returns once the
// first was.
func (s *sibling) late() (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	answered, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; ctx.Err() == nil; first = false {
			answer, err := http.Get(s.url + "/late")
			if err == nil {
				err = answer.Body.Close()
			}
			if first {
				answered <- err
			}
		}
	}()
	s.must(<-answered)
	return func() { cancel(); <-ended }
}

// replies is what messages on the queue name as reply-to, by their text.
func (h *house) replies(broker *testkit.KafkaServer) map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for _, m := range h.onTopic(broker, "pages", 0) {
		all[string(m.Value)] = header(m, replyto.Header)
	}
	return all
}

func header(m kafka.Message, name string) string {
	for _, h := range m.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// Of two real cells one is at its limit: it sends clients to the other, which answers
// them; messages that it takes name the other as reply-to; and once its clients' answers
// are out of bounds its spool holds messages back for a while.
func TestACellAtItsLimitLeansOnItsSibling(t *testing.T) {
	needServers(t)
	broker := testkit.Kafka(t)
	if err := broker.CreateTopic(t.Context(), "pages", 1); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, houseOptions{
		Above: fmt.Sprintf("kafka {\n brokers = [%q]\n timeout = \"5s\"\n}", broker.Addr()),
		Policy: `
  lead = []
  latency { upper = "100ms" }
  proxy {
    slow_start = "0s"
    concurrency {
      initial = 4
      min     = 4
      max     = 4
    }
  }
  spool {
    topics = ["pages"]
    hold   = "1h"
    spread = "0s"
  }
  health {
    tcp      = true
    interval = "100ms"
  }
  drain { timeout = "1s" }`,
	})
	one, two := h.beginSibling("pod-1"), h.beginSibling("pod-2")
	one.gives("while there is room")
	one.empties()

	release := one.fill(4, filepath.Join(h.dir, "go"))
	one.moves(two)
	// A report serves for as many messages as it tells of room: some name the cell itself.
	given := 0
	testkit.Await(t, patience, func(context.Context) error {
		one.gives(fmt.Sprintf("at the limit %d", given))
		given++
		if !slices.Contains(slices.Collect(maps.Values(h.replies(broker))), two.url) {
			return fmt.Errorf("none of %d messages names the sibling", given)
		}
		return nil
	})
	one.empties()
	release()
	stop := one.late()
	one.gives("held")
	two.gives("by the other")
	two.empties() // what the other cell takes is on the queue at once
	if v, err := one.spooled(t.Context(), one.beside()); err != nil || v.Spools["pages"] != 1 {
		t.Errorf("the spool holds %v, want 1 message, %v", v.Spools, err)
	}
	stop()
	one.empties()

	replies := h.replies(broker)
	if len(replies) != given+3 {
		t.Errorf("%d messages are on the queue, want %d", len(replies), given+3)
	}
	for text, want := range map[string]string{"while there is room": one.url, "by the other": two.url} {
		if got := replies[text]; got != want {
			t.Errorf("%q asks for replies to %q, want %q", text, got, want)
		}
	}
	for text, got := range replies {
		if got != one.url && got != two.url {
			t.Errorf("%q asks for replies to %q, which is neither cell", text, got)
		}
	}
	for _, s := range []*sibling{one, two} {
		s.end(syscall.SIGTERM)
	}
}

// moves waits until a client is sent on to another cell, and has it go there.
func (s *sibling) moves(to *sibling) {
	s.t.Helper()
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var location string
	testkit.Await(s.t, patience, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/page?a=b", nil)
		if err != nil {
			return err
		}
		answer, err := direct.Do(r)
		if err != nil {
			return err
		}
		if location = answer.Header.Get("Location"); answer.StatusCode != http.StatusTemporaryRedirect {
			err = fmt.Errorf("it is answered %s", answer.Status)
		}
		return errors.Join(err, answer.Body.Close())
	})
	if !strings.HasPrefix(location, to.url+"/page?a=b") {
		s.t.Errorf("a client is sent to %q, want %s/page?a=b", location, to.url)
	}
	answer, err := http.Get(location)
	s.must(err)
	text, err := io.ReadAll(answer.Body)
	s.must(errors.Join(err, answer.Body.Close()))
	if answer.StatusCode != http.StatusOK || !strings.Contains(string(text), "/page for ") || !strings.HasSuffix(string(text), " at "+to.url) {
		s.t.Errorf("there it is answered %s: %s", answer.Status, text)
	}
}
