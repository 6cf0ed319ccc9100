package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockTick is the unit of CPU time in /proc/PID/stat: USER_HZ, which is 100 on
// every Linux that Go runs on.
const clockTick = time.Second / 100

// cpu is the CPU time of a process so far, in itself and in the kernel: its own,
// and that of the children it has waited for, with theirs.
type cpu struct{ own, children time.Duration }

func cpuOf(b testing.TB, pid int) cpu {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// The name, in parentheses, may hold anything; the state follows it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const utime = 11 // and stime, cutime, cstime
	var ticks [4]time.Duration
	for i := range ticks {
		n, e := strconv.Atoi(fields[utime+i])
		ticks[i], err = time.Duration(n)*clockTick, errors.Join(err, e)
	}
	if err != nil {
		b.Fatal(err)
	}
	return cpu{own: ticks[0] + ticks[1], children: ticks[2] + ticks[3]}
}

// memory is a process's memory by the kernel's names, in MiB.
type memory map[string]float64

// memoryOf reads the memory that a process has now. Rss counts pages shared
// with others in full, Pss by the share.
func memoryOf(b *testing.B, pid int) memory {
	b.Helper()
	m := memory{}
	for _, file := range []string{"smaps_rollup", "status"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			b.Fatal(err)
		}
		for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
			name, value, _ := strings.Cut(scan.Text(), ":")
			if kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(value, "kB"))); err == nil {
				m[name] = float64(kib) / 1024
			}
		}
	}
	return m
}

func (m memory) String() string {
	return fmt.Sprintf("Rss %.1f MiB, Pss %.1f MiB, of its own %.1f MiB, highest Rss since its start %.1f MiB",
		m["Rss"], m["Pss"], m["Anonymous"], m["VmHWM"])
}
