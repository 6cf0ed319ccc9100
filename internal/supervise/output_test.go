package supervise

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestOutputIsTakenToTheEnd(t *testing.T) {
	r := run(t, `trap 'i=0; while [ $i -lt 2000 ]; do echo "last words $i"; i=$((i+1)); done; exit' TERM; echo ready; `+
		`while :; do sleep 0.01; done`, Config{})
	eventually(t, "the trap", func() bool { return r.out.String() != "" })
	r.end()
	if got := strings.Count(r.out.String(), "last words "); got != 2000 {
		t.Errorf("%d lines, want 2000", got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// A log that can't be written must not stop the application at a full pipe.
func TestOutputThatFails(t *testing.T) {
	o, err := newOutput(brokenWriter{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "dd if=/dev/zero bs=65536 count=20 2>/dev/null")
	cmd.Stdout = o.file
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	o.handedOver()
	o.close()
}
