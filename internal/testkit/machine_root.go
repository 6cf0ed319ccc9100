package testkit

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // the recipe
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed machine_root.sh
var machineRootScript string

// machineRootLimit is how long the making may take; the mirror is the slow part.
const machineRootLimit = 15 * time.Minute

// MachineRoot returns the file system that all machines are started over and
// none may write to. It is made into the cache the first time, under the digest
// of its recipe, which takes about a minute and 330 MB.
func MachineRoot(ctx context.Context) (string, error) {
	if err := MachinesPossible(ctx); err != nil {
		return "", err
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	dir, err := cached(ctx, cache, "machine-"+digest([]byte(machineRootScript)), makeMachineRoot)
	if err != nil {
		return "", fmt.Errorf("make the file system of machines: %w", err)
	}
	return filepath.Join(dir, "root"), nil
}

// makeMachineRoot runs the recipe in namespaces, with which all that debootstrap
// mounts and starts is gone, and under the guardian, so that nothing goes on in
// the cache when this process is killed and another takes its place.
func makeMachineRoot(ctx context.Context, into string) error {
	if err := installPackages(ctx, map[string]string{"debootstrap": "debootstrap"}); err != nil {
		return err
	}
	mirror, err := debianMirror(ctx)
	if err != nil {
		return err
	}
	g, err := guard()
	if err != nil {
		return err
	}
	return program{
		name:        "debootstrap",
		environment: append(os.Environ(), aptQuiet...),
		log:         filepath.Join(g.directory, "debootstrap.log"),
		command: []string{
			"unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
			"sh", "-c", machineRootScript, "sh", filepath.Join(into, "root"), mirror,
		},
	}.toEnd(ctx, machineRootLimit)
}

// debianMirror is the one that this host's own packages come from, which has
// every release.
func debianMirror(ctx context.Context) (string, error) {
	if mirror, err := knownMirror(ctx); err == nil {
		return mirror, nil
	}
	// What a mirror is for is only known once its lists are here.
	if err := run(ctx, "/", aptQuiet, "apt-get", "update", "-q"); err != nil {
		return "", err
	}
	return knownMirror(ctx)
}

func knownMirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its mirror: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "Debian" && fields[1] == "main" {
			return fields[2], nil
		}
	}
	return "", fmt.Errorf("apt has no mirror of Debian, only:\n%s", out)
}
