package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// CgroupHere is where the tree of control groups is mounted, and this process's
// place in it. Machines have theirs below it, and so are held to its limits.
func CgroupHere() (mount, place string, err error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	own, ownErr := os.ReadFile("/proc/self/cgroup")
	if err := errors.Join(err, ownErr); err != nil {
		return "", "", fmt.Errorf("find the control groups: %w", err)
	}
	if mount, place, err = cgroupIn(string(mounts), string(own)); err != nil {
		return "", "", err
	}
	try, err := os.MkdirTemp(filepath.Join(mount, place), "homeostat-testkit-")
	if err != nil {
		return "", "", fmt.Errorf("make a control group: %w", err)
	}
	return mount, place, os.Remove(try)
}

// cgroupIn reads /proc/self/mounts and /proc/self/cgroup for version 2 of
// control groups, which may be there beside version 1.
func cgroupIn(mounts, own string) (mount, place string, err error) {
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			mount = fields[1]
			break
		}
	}
	for line := range strings.Lines(own) {
		if path, found := strings.CutPrefix(line, "0::"); found {
			place = strings.TrimSpace(path)
		}
	}
	if mount == "" || place == "" {
		return "", "", errors.New("version 2 of control groups is not mounted")
	}
	return mount, place, nil
}

// CgroupProcesses are the processes of a control group and of those below it;
// none when it isn't there.
func CgroupProcesses(path string) ([]int, error) {
	groups, err := cgroupsBelow(path)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, group := range groups {
		text, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the processes of %s: %w", group, err)
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("list the processes of %s: %w", group, err)
			}
			all = append(all, pid)
		}
	}
	return all, nil
}

// RemoveCgroup removes a control group and those below it, once the kernel has
// let go of their last processes.
func RemoveCgroup(path string) error {
	return Within(goneLimit, func() error {
		groups, err := cgroupsBelow(path)
		for k := len(groups) - 1; k >= 0 && err == nil; k-- {
			err = os.Remove(groups[k])
		}
		return err
	})
}

// cgroupsBelow lists a control group and those below it, that one first.
func cgroupsBelow(path string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(path, func(dir string, entry os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil // it went meanwhile
		}
		if err == nil && entry.IsDir() {
			all = append(all, dir)
		}
		return err
	})
	return all, err
}

// goneLimit is how long what has been killed may take to be gone: the kernel may
// have pages of it to write first.
const goneLimit = 10 * time.Second

// Within waits for what the kernel does by itself in a moment, also when whoever
// asked for it has no time left.
func Within(limit time.Duration, condition func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := condition()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
