package testkit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// family returns the processes that descend from pid. PostgreSQL gives each of
// its processes a group of its own, out of reach of a signal to the server's.
// Where there is no /proc it returns none.
func family(pid int) []int {
	children := make(map[int][]int)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if _, parent, ok := look(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	var found []int
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		found = append(found, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return found
}

// look reads the state and the parent of a process from /proc. The program's
// name stands in parentheses before them and may itself hold any character.
func look(pid int) (state byte, parent int, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	if _, err := fmt.Sscanf(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " %c %d", &state, &parent); err != nil {
		return 0, 0, false
	}
	return state, parent, true
}

// killAll kills processes and waits until they are gone.
func killAll(pids []int, limit time.Duration) error {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have gone by itself
	}
	deadline := time.Now().Add(limit)
	for _, pid := range pids {
		for {
			if state, _, ok := look(pid); !ok || state == 'Z' {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("kill process %d: it is still there after %s", pid, limit)
			}
			time.Sleep(pollInterval)
		}
	}
	return nil
}
