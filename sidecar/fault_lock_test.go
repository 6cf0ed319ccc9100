package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestStateLockLeftBehind kills the leader with all that it runs, and then only
// Terraform, in the middle of an apply. The state lies in S3, where a lock outlives
// its holder, so it is left behind: it is broken, as it matches the note of a dead
// apply, and the order is carried out by adopting what was half born.
func TestStateLockLeftBehind(t *testing.T) {
	h, _ := houseInS3(t)
	h.cutApply("3", func() { h.killCell(h.leader()) })
	h.hears("breaking the state lock that a dead apply left", "by=")
	h.settled(3, patience)

	h.cutApply("4", func() {
		terraform := kill{house: h, victim: "terraform"}
		h.kill(terraform.awaited())
	})
	h.settled(4, patience)

	// The same leader may have broken it, or one that came after it.
	if broken := h.logLines("breaking the state lock that a dead apply left"); len(broken) < 2 {
		t.Errorf("broken: %v", broken)
	}
	h.bornOnce()
}

// TestStateLockOfAPerson has a person hold the lock in S3: it is told of and never
// broken. That is so, too, where a leader that waits for it is killed, whose note
// then says that an apply was begun.
func TestStateLockOfAPerson(t *testing.T) {
	h, states := houseInS3(t)
	answer := h.asksToDestroy()
	held := states.lock(t)
	h.succeed("pin", "pod", "3")
	h.hears("Terraform's state is locked", "it is left alone", "so a person or a pipeline holds it")
	h.reads("trouble", "the state is locked by", "a person or a pipeline holds it")

	h.await("the note of a leader that waits", func(ctx context.Context) error {
		note, err := h.fleet.Applying(ctx, "pod", 0)
		if err == nil && note == nil {
			err = errors.New("there is none")
		}
		return err
	})
	h.killCell(h.leader())
	h.hears("Terraform's state is locked", "it is left alone", "it is older than the apply that was noted")
	if now := states.lock(t); now != held {
		t.Errorf("the person's lock is another: %s, was %s", now, held)
	}
	if broken := h.logLines("breaking the state lock"); len(broken) > 0 {
		t.Errorf("broken: %v", broken)
	}
	answer("no")
	h.settled(3, patience)
	h.bornOnce()
}

// houseInS3 is a house of two cells whose state lies in S3.
func houseInS3(t *testing.T) (*house, *states) {
	t.Helper()
	h := faulty(t, houseOptions{})
	s := newStates(t)
	h.readState = func() ([]byte, error) { return s.object(t.Context(), stateObject) }
	h.rewrite("pod/main.tf", func(text string) string { return s.backend() + text })
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "2")
	h.settled(2, patience)
	return h, s
}

// cutApply orders n cells, strikes while a cell is being born, and checks that
// the lock is left behind and the newborn adopted.
func (h *house) cutApply(n string, strike func()) {
	h.t.Helper()
	h.write("fault", "hold")
	h.succeed("pin", "pod", n)
	newborn := h.newborn()
	h.exists("held-" + newborn)
	born := h.pidOf(newborn)
	strike()
	if note, err := h.fleet.Applying(h.t.Context(), "pod", 0); err != nil || note == nil {
		h.t.Fatalf("no apply was noted, so this shows nothing: %v", err)
	}
	h.remove("fault")
	h.await(newborn+" is whole", func(context.Context) error {
		if _, there := h.lives()[newborn]; !there {
			return errors.New("it is not passing")
		}
		return nil
	})
	if now := h.sidecar(newborn); now != born {
		h.t.Errorf("%s is process %d, was %d: it was born twice", newborn, now, born)
	}
}

// bornOnce checks that each cell has one sidecar, and each name had one life.
func (h *house) bornOnce() {
	h.t.Helper()
	lives := map[string]string{}
	births, err := h.fleet.Births(h.t.Context(), "pod")
	h.must(err)
	for _, b := range births {
		if other, twice := lives[b.Cell]; twice && other != b.Incarnation {
			h.t.Errorf("%s was born as %s and as %s", b.Cell, other, b.Incarnation)
		}
		lives[b.Cell] = b.Incarnation
	}
	running := map[string]int{}
	for _, name := range h.processes() {
		if running[name]++; running[name] > 1 {
			h.t.Errorf("%s runs twice", name)
		}
	}
}

// states is a bucket of S3 in which Terraform's state lies.
type states struct {
	s3 *testkit.S3Server
}

const (
	stateBucket = "states"
	stateObject = "pod.tfstate"
)

func newStates(t *testing.T) *states {
	t.Helper()
	s := &states{s3: testkit.S3(t)}
	if err := s.s3.MakeBucket(t.Context(), stateBucket); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *states) backend() string {
	return fmt.Sprintf(`
terraform {
  backend "s3" {
    bucket       = %q
    key          = %q
    region       = "us-east-1"
    access_key   = "test"
    secret_key   = "test"
    use_lockfile = true
    endpoints    = { s3 = %q }

    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
  }
}
`, stateBucket, stateObject, s.s3.URL())
}

// lock is what the lock says of its holder.
func (s *states) lock(t *testing.T) string {
	t.Helper()
	text, err := s.object(t.Context(), stateObject+".tflock")
	if err != nil || !strings.Contains(string(text), `"ID"`) {
		t.Fatalf("%v: the lock is %q", err, text)
	}
	return string(text)
}

// object reads one. S3 takes any signature, but wants one.
func (s *states) object(ctx context.Context, key string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.s3.URL()+"/"+stateBucket+"/"+key, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", key, resp.Status)
	}
	return text, err
}
