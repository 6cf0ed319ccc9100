package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is how many clock ticks /proc counts in a second, on every Linux that
// Go runs on.
const ticks = 100

// terraforms lists the processes of this machine that run Terraform, or
// OpenTofu, since before the instant given, whoever started them.
func terraforms(before time.Time) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list the processes of this machine: %w", err)
	}
	uptime, err := uptime()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		name, age, err := program(pid, uptime)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		if isTerraform(name) && time.Now().Add(-age).Before(before) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// isTerraform goes by the name the kernel gives a process, which is cut after
// 15 characters. Providers are Terraform's children and hold no lock.
func isTerraform(name string) bool {
	return (strings.HasPrefix(name, "terraform") || strings.HasPrefix(name, "tofu")) && !strings.HasPrefix(name, "terraform-provi")
}

func uptime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, fmt.Errorf("read how long this machine is up: %w", err)
	}
	text, _, _ := strings.Cut(string(b), " ")
	up, err := time.ParseDuration(text + "s")
	if err != nil {
		return 0, fmt.Errorf("read how long this machine is up: %w", err)
	}
	return up, nil
}

// program returns the name and the age of a process. One that has ended and
// only waits to be reaped counts as ended.
func program(pid int, up time.Duration) (string, time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[end+1:]))
	if open < 0 || end < open || len(fields) < 20 {
		return "", 0, fmt.Errorf("parse /proc/%d/stat: %q", pid, b)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", 0, fs.ErrNotExist
	}
	started, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("parse the start of process %d: %w", pid, err)
	}
	return string(b[open+1 : end]), up - time.Duration(started)*time.Second/ticks, nil
}
