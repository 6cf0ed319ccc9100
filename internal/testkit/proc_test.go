package testkit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// short skips what needs a server under go test -short.
func short(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server")
	}
}

// processState returns the one-letter state of a process, "" when there is none.
func processState(t *testing.T, pid int) string {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The command's name is in parentheses and may hold anything.
	_, rest, found := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
	if !found {
		t.Fatalf("read the state of process %d from %q", pid, stat)
	}
	return rest[:1]
}
