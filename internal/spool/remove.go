package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

// Remove removes the folder of a spool that nobody will open again. It returns false,
// and leaves the folder, where anything is left in it, be it a damaged file, and where
// somebody has it or waits for it. Who begins to open it meanwhile makes it anew.
func Remove(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var parts []string // files in the order in which they go, then the folders that held them
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		lock := path
		switch {
		case e.IsDir() && isEmptied(path):
			lock = filepath.Join(path, unsent.Lock)
			parts = append(parts, filepath.Join(path, positionName), lock, path)
		case e.Name() == wantedName && e.Type().IsRegular():
			parts = append(parts, path)
		default:
			return false, nil
		}
		f, err := lockFile(lock)
		if errors.Is(err, ErrInUse) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		defer f.Close()
		if e.IsDir() && !isEmptied(path) { // it was used until now
			return false, nil
		}
	}
	for _, path := range append(parts, dir) {
		err := os.Remove(path)
		switch {
		case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST):
			return false, nil // its cell is back, and makes it anew
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return false, err
		}
	}
	return true, nil
}

// isEmptied says whether a topic's folder holds nothing but what an empty log leaves.
func isEmptied(dir string) bool {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != positionName && e.Name() != unsent.Lock {
			return false
		}
	}
	return err == nil
}
