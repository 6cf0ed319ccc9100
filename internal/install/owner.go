package install

import (
	"io/fs"
	"os"
	"syscall"
)

// ownAs gives a file to whom another belongs.
func ownAs(f *os.File, info fs.FileInfo) error {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(s.Uid), int(s.Gid))
	}
	return nil
}
