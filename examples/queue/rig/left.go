package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes are those that run a program of this place. They are looked for in
// /proc, so that the verdict is none of Homeostat's own.
func (p place) processes() (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe") // the pattern is a good one
	for _, link := range links {
		// Processes end while they are looked at, and some are not ours to read.
		if program, err := os.Readlink(link); err == nil && strings.HasPrefix(program, p.in("bin")+"/") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link))) // it is a number
			pids = append(pids, pid)
		}
	}
	return pids
}
