package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRemove removes what is empty and nobody's, and nothing else.
func TestRemove(t *testing.T) {
	keeps := func(t *testing.T, dir, why string) {
		t.Helper()
		if removed, err := Remove(dir); removed || err != nil {
			t.Errorf("removed %t with %s, %v", removed, why, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "api-1")
	queue := newFakeQueue(1, isAway)
	s, err := Open(t.Context(), config(dir, queue))
	if err != nil {
		t.Fatal(err)
	}
	keeps(t, dir, "who has it")
	add(t, s, 1)
	end(t, s)
	keeps(t, dir, "a message")

	if s, err = Open(t.Context(), config(dir, newFakeQueue(1, nil))); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	end(t, s)
	damaged := filepath.Join(dir, "pages", "1.log.damaged")
	if err := os.WriteFile(damaged, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	keeps(t, dir, "a damaged file")
	if err := os.Remove(damaged); err != nil {
		t.Fatal(err)
	}
	wants, err := lockFile(filepath.Join(dir, wantedName))
	if err != nil {
		t.Fatal(err)
	}
	keeps(t, dir, "its cell waiting")
	if err := wants.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it isn't there
		if removed, err := Remove(dir); !removed || err != nil {
			t.Errorf("removed %t, %v", removed, err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Error(err)
	}
}

// TestRemoveWhileItsCellBegins has a cell begin again and again while its folder is
// removed again and again: it always gets one, and nothing that it takes is lost.
func TestRemoveWhileItsCellBegins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "api-1")
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if _, err := Remove(dir); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 50 {
		s, err := Claim(t.Context(), config(dir, newFakeQueue(1, isAway)), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		add(t, s, 1)
		end(t, s)
		if s, err = Claim(t.Context(), config(dir, newFakeQueue(1, nil)), time.Minute); err != nil {
			t.Fatal(err)
		}
		if s.Depth() > 1 {
			t.Errorf("it holds %d", s.Depth())
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		end(t, s)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
