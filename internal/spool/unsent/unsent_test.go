package unsent

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if err := Check(filepath.Join(dir, "nothing")); err != nil {
		t.Error(err)
	}
	topic := filepath.Join(dir, "spool", "api-1", "pages")
	if err := os.MkdirAll(topic, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"position", "server.log", Name(1, 2, 3) + ".damaged"} {
		if err := os.WriteFile(filepath.Join(topic, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Check(dir); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(topic, Name(1, 2, 3)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var left *Error
	if err := Check(dir); !errors.As(err, &left) || left.Dir != topic {
		t.Errorf("got %v", err)
	}
}
