package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// cache is the folder of a cache.
type cache string

func (c cache) blob(digest string) string { return filepath.Join(string(c), "blobs", digest) }
func (c cache) part(digest string) string { return c.blob(digest) + ".part" }
func (c cache) tree(digest string) string { return filepath.Join(string(c), "bundle", digest) }

// lock waits until no other process fetches into the cache. The kernel gives the
// lock back when its holder ends, however it does.
func (c cache) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Join(string(c), "blobs"), 0o755); err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(string(c), ".lock"), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
			err = wait.For(ctx, 50*time.Millisecond)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("wait for another process that fetches into %s: %w", c, err), f.Close())
		}
	}
}

// holds reports whether the cache has the content of a digest. It is read: a disk
// that lost some of it is found out here, and what is wrong is fetched again.
func (c cache) holds(digest string) bool {
	f, err := os.Open(c.blob(digest))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return is(f, digest)
}

// is reports whether content is what a digest names.
func is(f io.Reader, digest string) bool {
	sum := sha256.New()
	_, err := io.Copy(sum, f)
	return err == nil && hex.EncodeToString(sum.Sum(nil)) == digest
}

// came is how many bytes of an object came so far.
func (c cache) came(digest string) int64 {
	info, err := os.Stat(c.part(digest))
	if err != nil {
		return 0
	}
	return info.Size()
}

// keep gives content its name, once it is on the disk.
func (c cache) keep(digest string, f *os.File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(c.part(digest), c.blob(digest))
}
