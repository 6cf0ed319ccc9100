package peer

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Keys of the tests.
var (
	first  = strings.Repeat("first-", 6)
	second = strings.Repeat("second", 6)
	other  = strings.Repeat("other-", 6)
)

// keysOf are keys in a file of their own.
func keysOf(tb testing.TB, lines ...string) *Keys {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "peers.key")
	write(tb, path, lines...)
	keys, err := ReadKeys(path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// write replaces a file of keys.
func write(tb testing.TB, path string, lines ...string) {
	tb.Helper()
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		tb.Fatal(err)
	}
}

func TestReadKeys(t *testing.T) {
	tests := map[string]struct {
		text string
		mode os.FileMode
		keys int
		err  string
	}{
		"one":               {text: first, mode: 0o600, keys: 1},
		"one with its line": {text: first + "\n", mode: 0o400, keys: 1},
		"two":               {text: first + "\r\n\n  " + second + "\n", mode: 0o640, keys: 2},
		"just long enough":  {text: strings.Repeat("k", KeyBytes), mode: 0o600, keys: 1},
		"too short":         {text: first + "\n" + strings.Repeat("k", KeyBytes-1), mode: 0o600, err: "line 2 of FILE has 31 bytes, and a key has at least 32: make one with 'openssl rand -hex 32'"},
		"empty":             {text: "\n \n", mode: 0o600, err: "FILE holds no key"},
		"huge":              {text: strings.Repeat(first+"\n", 3000), mode: 0o600, err: "FILE holds more than 65536 bytes"},
		"read by the world": {text: first, mode: 0o644, err: "others may get at the key: FILE has mode 0644: 'chmod 600 FILE'"},
		"read by others":    {text: first, mode: 0o604, err: "has mode 0604"},
		"written by others": {text: first, mode: 0o602, err: "has mode 0602"},
		"written by group":  {text: first, mode: 0o660, err: "has mode 0660"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			keys, err := ReadKeys(path, nil)
			if tt.err == "" {
				if err != nil || len(keys.current()) != tt.keys {
					t.Fatalf("got %v, want %d keys", err, tt.keys)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(tt.err, "FILE", path)) {
				t.Fatalf("got %v, want %q", err, tt.err)
			}
			if exposed := strings.Contains(tt.err, "mode"); errors.Is(err, ErrExposed) != exposed {
				t.Errorf("%v is ErrExposed: want %v", err, exposed)
			}
			if strings.Contains(err.Error(), "first-") || strings.Contains(err.Error(), "kkkk") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
	for name, path := range map[string]string{"absent": filepath.Join(t.TempDir(), "none"), "a folder": t.TempDir(), "a device": os.DevNull} {
		if _, err := ReadKeys(path, nil); err == nil {
			t.Errorf("%s was taken for a file of keys", name)
		}
	}
}

func TestChangedKeysAreReadAgain(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, first)
	keys, err := ReadKeys(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	signs := func(want string) {
		t.Helper()
		if got := keys.Sign([]byte("x")); got != code([]byte(want), []byte("x")) {
			t.Errorf("it doesn't sign with %q", want)
		}
	}
	signs(first)
	write(t, path, second, first)
	signs(second)
	if !keys.Signed([]byte("x"), code([]byte(first), []byte("x"))) || keys.Signed([]byte("x"), code([]byte(other), []byte("x"))) {
		t.Error("it doesn't take the second key, or takes a stranger's")
	}
	// What can't be read leaves the old keys, and is told of once.
	log.Reset()
	write(t, path, "short")
	signs(second)
	signs(second)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	signs(second)
	signs(second)
	if n := strings.Count(log.String(), "the old ones stay"); n != 2 {
		t.Errorf("told %d times of two faults: %s", n, log.String())
	}
	write(t, path, other)
	signs(other)
	// Written in place, with a time of its own, the same length.
	if err := os.WriteFile(path, []byte(second+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	signs(second)
	if strings.Contains(log.String(), "first-") || strings.Contains(log.String(), "second") {
		t.Errorf("the log shows a key: %s", log.String())
	}
}

// A cell that leaves takes its key's file away, signs to the end, and complains of
// nothing but a file that is wrong.
func TestKeysOutliveTheirFile(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, first)
	keys, err := ReadKeys(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	keys.MayGo()
	signs := func(want string) {
		t.Helper()
		if got := keys.Sign([]byte("x")); got != code([]byte(want), []byte("x")) {
			t.Errorf("it doesn't sign with %q", want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	signs(first)
	if log.Len() > 0 {
		t.Errorf("told: %s", log.String())
	}
	write(t, path, second)
	signs(second)
	write(t, path, "short")
	signs(second)
	if n := strings.Count(log.String(), "the old ones stay"); n != 1 {
		t.Errorf("told %d times of a fault: %s", n, log.String())
	}
	var none *Keys
	none.MayGo()
}
