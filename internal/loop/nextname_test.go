package loop

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestNextNameOnlyRises(t *testing.T) {
	n := nextNameOf(t.TempDir(), "api")
	if next, err := n.read(); next != 0 || err != nil {
		t.Fatalf("before it was written: %d, %v", next, err)
	}
	for _, step := range []struct{ raise, want int }{{0, 0}, {5, 5}, {3, 5}, {6, 6}} {
		if err := n.raise(step.raise); err != nil {
			t.Fatal(err)
		}
		if next, err := n.read(); next != step.want || err != nil {
			t.Errorf("after %d: %d, %v; want %d", step.raise, next, err, step.want)
		}
	}
}

func TestNextNameSaysWhatItCannotRead(t *testing.T) {
	n := nextNameOf(t.TempDir(), "api")
	if err := os.MkdirAll(filepath.Dir(n.path), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "x", "-3", "1 2"} {
		if err := os.WriteFile(n.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if next, err := n.read(); !errors.Is(err, errNextName) {
			t.Errorf("%q was read as %d", text, next)
		}
	}
	if err := n.raise(4); err != nil {
		t.Fatal(err)
	}
	if next, err := n.read(); next != 4 || err != nil {
		t.Errorf("after it was mended: %d, %v", next, err)
	}
}
