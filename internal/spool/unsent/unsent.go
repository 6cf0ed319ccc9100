// Package unsent knows the files in which a spool keeps messages, by their names.
// It is for who is to remove a folder and needn't know how messages are sent.
package unsent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Suffix is at the end of such a file's name.
const Suffix = ".log"

// Lock is the name of the file beside them that is locked by who has the folder.
const Lock = "lock"

// Name is that of a file whose first message has a sequence, the generation of the
// file, and its salt.
func Name(first, generation, salt uint64) string {
	return fmt.Sprintf("%020d-%06d-%016x%s", first, generation, salt, Suffix)
}

// Parse reads what Name writes.
func Parse(name string) (first, generation, salt uint64, ok bool) {
	base, found := strings.CutSuffix(name, Suffix)
	if !found {
		return 0, 0, 0, false
	}
	n, err := fmt.Sscanf(base, "%d-%d-%x", &first, &generation, &salt)
	return first, generation, salt, err == nil && n == 3 && Name(first, generation, salt) == name
}

// Error says which folder below another may hold messages that were accepted and not
// sent. A spool that has ended in order and has sent all leaves no such file.
type Error struct{ Dir string }

func (e *Error) Error() string {
	return fmt.Sprintf("the spool in %s may hold messages that were accepted and are not on the queue yet", e.Dir)
}

// Check returns an *Error for the first folder at or below dir that may hold unsent
// messages. A dir that isn't there holds none.
func Check(dir string) error {
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if _, _, _, ok := Parse(entry.Name()); ok && entry.Type().IsRegular() {
			return &Error{filepath.Dir(path)}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
