package testkit

import (
	"context"
	"fmt"
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
	dir, err := debianPackages(ctx, "sshd", sshdPackages)
	if err != nil {
		return "", fmt.Errorf("get sshd and sudo (or install openssh-server and sudo): %w", err)
	}
	return dir, nil
}
