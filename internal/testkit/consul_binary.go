package testkit

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"
)

// consulVersion is the version downloaded; the one built is in
// tools/consul/go.mod and is the same.
const consulVersion = "1.22.3"

const (
	// downloadLimit bounds a download, which is some tens of megabytes.
	downloadLimit = 3 * time.Minute
	// buildLimit bounds the building of a large program on a small machine.
	buildLimit = 30 * time.Minute
)

// ConsulBinary returns the path of a consul program: the one on PATH, else the
// one in the cache, else one downloaded into it, else one built into it from
// source, which takes some minutes.
func ConsulBinary(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("consul"); err == nil {
		return path, nil
	}
	source, sum, err := toolModule("consul")
	if err != nil {
		return "", err
	}
	cache, err := CacheDirectory()
	if err != nil {
		return "", err
	}
	dir, err := cached(ctx, cache, "consul-"+digest(sum), func(ctx context.Context, into string) error {
		download := downloadRelease(ctx, product.Consul, consulVersion, into)
		if download == nil {
			return nil
		}
		build := buildTool(ctx, source, "github.com/hashicorp/consul", filepath.Join(into, "consul"))
		if build == nil {
			return nil
		}
		return errors.Join(download, build)
	})
	if err != nil {
		return "", fmt.Errorf("get consul %s (or put one on PATH): %w", consulVersion, err)
	}
	return filepath.Join(dir, "consul"), nil
}

// downloadRelease downloads a program from its makers, checked against their
// signature. Where their site can't be reached it says so after some seconds.
func downloadRelease(ctx context.Context, what product.Product, exact, into string) error {
	if err := reachable(ctx, "https://releases.hashicorp.com/"); err != nil {
		return fmt.Errorf("download %s: %w", what.Name, err)
	}
	v, err := version.NewVersion(exact)
	if err != nil {
		return fmt.Errorf("download %s: %w", what.Name, err)
	}
	release := &releases.ExactVersion{Product: what, Version: v, InstallDir: into, Timeout: downloadLimit}
	if _, err := release.Install(ctx); err != nil {
		return fmt.Errorf("download %s %s: %w", what.Name, exact, err)
	}
	return nil
}
