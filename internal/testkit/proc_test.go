package testkit

import (
	"io/fs"
	"strconv"
	"syscall"
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
	state, _, ok := look(pid)
	if !ok {
		return ""
	}
	return string(state)
}

func itoa(n int) string { return strconv.Itoa(n) }

// owner is the account a process runs as, from its directory in /proc.
func owner(info fs.FileInfo) uint32 {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return stat.Uid
}
