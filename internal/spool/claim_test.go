package spool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestClaim has a cell come back while another sends its spool, which it gets back
// with what is in it.
func TestClaim(t *testing.T) {
	dir := t.TempDir()
	adopted, err := Open(t.Context(), config(dir, newFakeQueue(1, isAway)))
	if err != nil {
		t.Fatal(err)
	}
	add(t, adopted, 1)
	if Wanted(dir) {
		t.Error("it is wanted before anybody came")
	}
	given := make(chan error, 1)
	go func() {
		err := testkit.Poll(t.Context(), time.Minute, func(context.Context) error {
			if !Wanted(dir) {
				return errors.New("nobody wants it")
			}
			return nil
		})
		given <- errors.Join(err, adopted.Close())
	}()
	s, err := Claim(t.Context(), config(dir, newFakeQueue(1, isAway)), time.Minute)
	if err := errors.Join(err, <-given); err != nil {
		t.Fatal(err)
	}
	defer end(t, s)
	if s.Depth() != 1 {
		t.Errorf("it holds %d messages, of one", s.Depth())
	}
	if Wanted(dir) {
		t.Error("it is wanted still")
	}
}

// TestClaimOfWhatIsKept has the spool not given back, as by another process of the
// same cell.
func TestClaimOfWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	start(t, config(dir, newFakeQueue(1, nil)))
	if s, err := Claim(t.Context(), config(dir, newFakeQueue(1, nil)), 10*time.Millisecond); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, %v", s, err)
	}
	if Wanted(dir) {
		t.Error("it is wanted though nobody waits any more")
	}
}
