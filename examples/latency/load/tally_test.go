package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	tally := newTally()
	for i := range 100 {
		tally.add(time.Duration(i+1)*time.Millisecond, nil)
	}
	tally.add(0, errors.New("refused"))
	if got, want := tally.line(), "100 answered, p50 51ms, p99 100ms, 1 failed (refused)"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
	if got := tally.line(); !strings.HasPrefix(got, "0 answered, p50 0s") {
		t.Errorf("the next second begins with %q", got)
	}
}
