package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// weir answers a data source of the root module, which every plan reads; a plan is
// held up for as long as the test wants.
type weir struct {
	held  atomic.Int32 // how many are held up now
	asked atomic.Int32
	stop  chan struct{} // closed: nobody is held up any more
	first atomic.Bool   // hold up the next one only
	all   atomic.Bool   // hold up all
}

func (s *weir) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if s.all.Load() || s.first.CompareAndSwap(true, false) {
		s.held.Add(1)
		select {
		case <-s.stop:
		case <-r.Context().Done():
		}
		s.held.Add(-1)
	}
	_, _ = fmt.Fprint(w, `{"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": "w", "outputs": {}, "resources": []}`)
}

// newWeir is a house whose plans can be held up.
func newWeir(t *testing.T) (*tidal, *weir) {
	t.Helper()
	s := &weir{stop: make(chan struct{})}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	h := newTidal(t, 1, func(h *house) {
		h.rewrite("pod/main.tf", func(text string) string {
			return text + fmt.Sprintf("data \"terraform_remote_state\" \"slow\" {\n  backend = \"http\"\n  config  = { address = %q }\n}\n", server.URL)
		})
	})
	h.foreseen(2) // all that is learned is learned
	return h, s
}

// again throws the plan ahead away, and waits until another is held up.
func (h *tidal) again(s *weir, hold *atomic.Bool) {
	h.t.Helper()
	hold.Store(true)
	h.bump()
	h.hears("the plan made ahead was thrown away", "why=state")
	h.await("a plan ahead is held up", func(context.Context) error {
		if s.held.Load() == 0 {
			return errors.New("none is")
		}
		return nil
	})
}

// TestOrderArrivesWhilePlanningAhead places the order foreseen while its plan is being
// made: that very plan is applied.
func TestOrderArrivesWhilePlanningAhead(t *testing.T) {
	h, s := newWeir(t)
	h.again(s, &s.all)
	h.load.set(secondCell)
	h.hears("order placed", "add=[pod-2]")
	s.all.Store(false)
	close(s.stop)
	h.settled(2, patience)
	h.hears("order applied as planned ahead")
	if placed := h.commandsAfter("order placed", "order applied as planned ahead"); !slices.Equal(placed, []string{"apply"}) {
		t.Errorf("Terraform ran %v for the order, want its apply alone", placed)
	}
}

// TestAnotherOrderInterruptsPlanningAhead has a person pin the count while a plan ahead
// is held up for good: it is interrupted, and the order doesn't wait for it.
func TestAnotherOrderInterruptsPlanningAhead(t *testing.T) {
	h, s := newWeir(t)
	h.again(s, &s.first)
	began := time.Now()
	h.succeed("pin", "pod", "3")
	h.hears("the plan made ahead was thrown away", "why=interrupted")
	h.settled(3, patience)
	t.Logf("three cells after %s", time.Since(began).Round(time.Second))
	h.await("the plan that was held up is gone", func(context.Context) error {
		if n := s.held.Load(); n > 0 {
			return fmt.Errorf("%d are held up", n)
		}
		return nil
	})
	if h.applied() > 0 {
		t.Error("something was applied as planned ahead")
	}
}

// TestGuardRefusesAPlanAhead has somebody else's change appear in every plan: the plan
// ahead is refused, and the order left to be planned when it is placed, without it.
func TestGuardRefusesAPlanAhead(t *testing.T) {
	h := newTidal(t, 1, func(h *house) {
		h.write("salt", "a") // outside the module: no edit of it
		h.rewrite("pod/main.tf", func(text string) string {
			return text + fmt.Sprintf("resource \"terraform_data\" \"other\" {\n  input = file(%q)\n}\n", filepath.Join(h.dir, "salt"))
		})
	})
	h.foreseen(2)
	h.write("salt", "b")
	h.bump()
	h.hears("the order foreseen could not be planned ahead", "terraform_data.other")
	h.load.set(secondCell)
	h.settled(2, patience)
	h.reads("drift", "terraform_data.other")
	if h.applied() > 0 {
		t.Error("what was refused was applied as planned ahead")
	}
}
