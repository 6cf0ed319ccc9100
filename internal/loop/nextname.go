package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"
)

// nextName is the file that keeps, beside the root module, the number of the
// next new name of a service: a Consul that lost its data forgets it, the state
// knows only the cells there are, and a name is never used twice. Every leader
// that shares the folder reads and raises it.
type nextName struct{ path string }

// errNextName says that the file holds no number.
var errNextName = errors.New("it holds no number")

func nextNameOf(module, service string) nextName {
	return nextName{filepath.Join(module, ".terraform", "homeostat", service+".next")}
}

// read returns the number, 0 where none was ever written, and errNextName where
// something else was.
func (n nextName) read() (int, error) {
	b, err := os.ReadFile(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the number of the next new cell: %w", err)
	}
	next, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || next < 0 {
		return 0, fmt.Errorf("read the number of the next new cell: %s: %w: %q", n.path, errNextName, b)
	}
	return next, nil
}

// raise writes the number unless the file has one that is as high.
func (n nextName) raise(next int) error {
	if known, err := n.read(); err == nil && known >= next {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(n.path), 0o700); err != nil {
		return fmt.Errorf("write the number of the next new cell: %w", err)
	}
	if err := renameio.WriteFile(n.path, []byte(strconv.Itoa(next)+"\n"), 0o600, renameio.WithTempDir(filepath.Dir(n.path))); err != nil {
		return fmt.Errorf("write the number of the next new cell: %w", err)
	}
	return nil
}
