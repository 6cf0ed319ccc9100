package birth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHoldIsExclusive(t *testing.T) {
	p := store(t)
	h, err := p.Hold(t.Context(), "crawler", "crawler-1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.Hold(ctx, "crawler", "crawler-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	other, err := p.Hold(t.Context(), "crawler", "crawler-2")
	if err != nil {
		t.Fatal(err)
	}
	other.Release()
	// One that waits gets the lock though the folder is taken away under it.
	got := make(chan error, 1)
	go func() {
		next, err := p.Hold(t.Context(), "crawler", "crawler-1")
		if err == nil {
			next.Release()
		}
		got <- err
	}()
	h.Release()
	if err := <-got; err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(p.Directory()); err != nil || len(entries) != 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// A folder that can't be made is told of, and not waited for like a lock.
func TestHoldWhereNoFolderCanBe(t *testing.T) {
	p := store(t)
	if err := os.MkdirAll(p.Directory(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(t.TempDir(), "nowhere", "at all"), filepath.Join(p.Directory(), "crawler")); err != nil {
		t.Fatal(err)
	}
	_, err := p.Hold(t.Context(), "crawler", "crawler-1")
	if !errors.Is(err, errVanished) || !strings.Contains(err.Error(), "crawler") {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	p := store(t)
	if names, err := p.Names("crawler"); err != nil || names != nil {
		t.Fatalf("got %v, %v", names, err)
	}
	for name, phase := range map[string]Phase{"crawler-2": Born, "crawler-1": Born, "crawler-3": Starting, "crawler-4": Ended} {
		spec := testSpec("wait")
		spec.Name = name
		r := newRecord(spec, p.host)
		r.Phase = phase
		if err := os.MkdirAll(p.Folder("crawler", name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := r.write(p.Folder("crawler", name)); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := p.Names("crawler"); err != nil || !slices.Equal(names, []string{"crawler-1", "crawler-2"}) {
		t.Errorf("got %v, %v", names, err)
	}
}

func TestForgetOnlyWhatHasEnded(t *testing.T) {
	p := store(t)
	h := hold(t, p)
	begin(t, h, "wait", 1)
	if err := h.Forget(); err == nil || !strings.Contains(err.Error(), "is starting, not ended") {
		t.Errorf("got %v", err)
	}
	if err := h.Born(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.End(t.Context(), time.Second), h.Forget()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(h.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}

func TestReadRecordRefuses(t *testing.T) {
	for name, content := range map[string]string{"garbage": "{", "a later format": `{"format": 2}`} {
		t.Run(name, func(t *testing.T) {
			p := store(t)
			dir := p.Folder("crawler", "crawler-1")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "cell.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if sight, err := p.Look("crawler", "crawler-1"); err == nil {
				t.Errorf("saw %+v", sight)
			}
		})
	}
}

func TestRecordIsPrivate(t *testing.T) {
	dir := t.TempDir()
	if err := newRecord(testSpec("wait"), Host{}).write(dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "cell.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestTail(t *testing.T) {
	p := store(t)
	if err := os.MkdirAll(p.Folder("a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789\n", 3000) + "last \xff\n"
	if err := os.WriteFile(p.LogPath("a", "b"), []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	lines, err := p.Tail("a", "b", 2)
	if err != nil || !slices.Equal(lines, []string{"0123456789", "last ?"}) {
		t.Errorf("got %q, %v", lines, err)
	}
	lines, err = p.Tail("a", "b", 100000)
	if err != nil || lines[0] != "0123456789" {
		t.Errorf("begins with %q, %v", lines[0], err)
	}
}
