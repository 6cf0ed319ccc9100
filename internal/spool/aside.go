package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// asideShare is which part of a log's bounds the damaged files may take that are kept for
// a person to look at. They come on top of max_bytes, or what an ill disk has spoilt would
// have new messages refused. There is always room for one.
const asideShare = 10

// keepAside gives a damaged segment's file a second name, under which it stays, and
// returns that: empty where enough of them are kept already.
func keepAside(d disk, s *segment, most int64) (string, error) {
	aside := s.path + damagedSuffix
	kept, err := asideBytes(filepath.Dir(s.path))
	if err != nil {
		return "", err
	}
	now, err := os.Stat(s.path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(aside); err == nil {
		return aside, nil
	}
	if kept > 0 && kept+now.Size() > most {
		return "", nil
	}
	if err := d.link(s.path, aside); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return aside, nil
}

// asideBytes is what the damaged files in a folder take.
func asideBytes(dir string) (bytes int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), damagedSuffix) {
			continue
		}
		if info, err := e.Info(); err == nil { // else it is just being removed
			bytes += info.Size()
		}
	}
	return bytes, nil
}

// aside is what this log's damaged files take; 0 where its folder can't be read.
func (l *messageLog) aside() int64 {
	bytes, _ := asideBytes(l.dir)
	return bytes
}
