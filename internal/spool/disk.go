package spool

import (
	"errors"
	"os"
)

// disk is what a log writes its segments to. There is one, and in tests one whose
// power is cut and one that fails.
type disk interface {
	create(path string) (file, error)
	remove(path string) error
	// syncFolder puts on disk which files a folder has.
	syncFolder(dir string) error
}

// file is a segment that is written. Nothing is read by it.
type file interface {
	Write([]byte) (int, error)
	// Sync returns once all that was written is on disk.
	Sync() error
	Truncate(size int64) error
	Close() error
}

// realDisk is the machine's own.
type realDisk struct{}

func (realDisk) create(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (realDisk) remove(path string) error { return os.Remove(path) }

func (realDisk) syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type realFile struct{ *os.File }

func (f realFile) Sync() error { return syncData(f.File) }
