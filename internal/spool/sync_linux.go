package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData puts a file's bytes and its size on disk, and leaves out its times.
func syncData(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		for {
			if failed = unix.Fdatasync(int(fd)); failed != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if failed != nil {
		return os.NewSyscallError("fdatasync", failed)
	}
	return nil
}
