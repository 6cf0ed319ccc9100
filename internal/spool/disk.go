package spool

import (
	"errors"
	"io"
	"os"
)

// disk is what a log lies on: its segments and how far they were sent. There is one, and
// in tests one whose power is cut and one that fails.
type disk interface {
	create(path string) (file, error)
	// reopen opens a segment of an earlier life, of which something is to be cut off.
	reopen(path string) (file, error)
	// open opens a segment to be read.
	open(path string) (readable, error)
	// place opens a file that is written in place, and makes it where it isn't there.
	place(path string) (placed, error)
	// link gives a file a second name.
	link(path, as string) error
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

// readable is a segment that is read.
type readable interface {
	io.ReaderAt
	io.Closer
}

// placed is a file that is written in place.
type placed interface {
	readable
	io.WriterAt
	// Sync returns once all that was written is on disk.
	Sync() error
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

func (realDisk) reopen(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (realDisk) open(path string) (readable, error) { return os.Open(path) }

func (realDisk) place(path string) (placed, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return realFile{f}, nil
}

func (realDisk) link(path, as string) error { return os.Link(path, as) }

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
