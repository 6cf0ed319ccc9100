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
)

// sshdPackages are what sshd and sudo need of Debian beyond what any Debian has.
var sshdPackages = []string{"openssh-server", "libwrap0", "libnsl2", "sudo"}

// sshdRoot is the directory below which usr/sbin/sshd and sudo lie: "/" where
// both are installed, else Debian's packages unpacked into the cache, which
// installs nothing.
func sshdRoot(ctx context.Context) (string, error) {
	if isFile("/usr/sbin/sshd") && isFile("/usr/bin/sudo") {
		return "/", nil
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	dir, err := cached(ctx, cache, "sshd-"+digest([]byte(strings.Join(sshdPackages, " "))), unpackSSHD)
	if err != nil {
		return "", fmt.Errorf("get sshd and sudo (or install openssh-server and sudo): %w", err)
	}
	return dir, nil
}

// unpackSSHD downloads and unpacks the packages. What is set-user-id in them is
// so no more in the cache, where nobody looks after it.
func unpackSSHD(ctx context.Context, into string) error {
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("unpack Debian's packages: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, downloadLimit)
	defer cancel()
	if err := run(ctx, into, nil, "apt-get", append([]string{"download"}, sshdPackages...)...); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(into, "*.deb"))
	if err != nil {
		return err
	}
	for _, file := range packages {
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

// sshdLibraries is the search path for the libraries unpacked below root.
func sshdLibraries(root string) (string, error) {
	usr, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	other, otherErr := filepath.Glob(filepath.Join(root, "lib/*-linux-gnu*"))
	return strings.Join(append(usr, other...), ":"), errors.Join(err, otherErr)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
