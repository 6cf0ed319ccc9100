package testkit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// debianPackages is a directory in the cache that holds what is in some packages of
// Debian, unpacked. Nothing is installed, and none of their services started.
func debianPackages(ctx context.Context, name string, packages []string) (string, error) {
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	return cached(ctx, cache, name+"-"+digest([]byte(strings.Join(packages, " "))), func(ctx context.Context, into string) error {
		return unpackPackages(ctx, into, packages)
	})
}

// Program is one of another project, and what its environment needs.
type Program struct {
	Path        string
	Environment []string
}

// DebianProgram is a program on PATH, or else from packages of Debian: one that has
// it, and those of libraries that not every Debian has. A machine that has neither
// can't run the test.
func DebianProgram(tb testing.TB, name string, packages ...string) Program {
	tb.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin") {
		if path := filepath.Join(dir, name); isFile(path) {
			return Program{Path: path}
		}
	}
	root, err := debianPackages(tb.Context(), name, packages)
	if err != nil {
		NotRun(tb, tb.Name(), fmt.Sprintf("%v; install %s", err, name))
	}
	libraries, err := packageLibraries(root)
	if err != nil {
		tb.Fatal(err)
	}
	for _, dir := range []string{"usr/sbin", "usr/bin"} {
		if path := filepath.Join(root, dir, name); isFile(path) {
			return Program{Path: path, Environment: []string{"LD_LIBRARY_PATH=" + libraries}}
		}
	}
	tb.Fatalf("no %s in %s, which was unpacked from %v", name, root, packages)
	return Program{}
}

// unpackPackages downloads and unpacks packages. What is set-user-id in them is so no
// more in the cache, where nobody looks after it.
func unpackPackages(ctx context.Context, into string, packages []string) error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("unpack Debian's packages: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, downloadLimit)
	defer cancel()
	if err := run(ctx, into, nil, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(into, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := run(ctx, into, nil, "dpkg-deb", "--extract", file, into); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return withoutSetuid(into)
}

func withoutSetuid(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0 {
			return err
		}
		return os.Chmod(path, info.Mode().Perm())
	})
}

// packageLibraries is the search path for the libraries unpacked below root.
func packageLibraries(root string) (string, error) {
	usr, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	other, otherErr := filepath.Glob(filepath.Join(root, "lib/*-linux-gnu*"))
	return strings.Join(append(usr, other...), ":"), errors.Join(err, otherErr)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
