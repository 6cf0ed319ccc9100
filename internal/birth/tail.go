package birth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	logFile       = "cell.log"
	workDirectory = "work"
)

// tailBytes bounds how much of a log is read for its last lines.
const tailBytes = 16 << 10

// LogPath is where the output of a cell's first process goes.
func (p *Processes) LogPath(service, name string) string {
	return filepath.Join(p.Folder(service, name), logFile)
}

// Tail returns the last lines of a cell's log, none when there is no log.
func (p *Processes) Tail(service, name string, lines int) ([]string, error) {
	f, err := os.Open(p.LogPath(service, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the cell's log: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the cell's log: %w", err)
	}
	from := max(0, info.Size()-tailBytes)
	b, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return nil, fmt.Errorf("read the cell's log: %w", err)
	}
	all := strings.Split(strings.TrimRight(strings.ToValidUTF8(string(b), "?"), "\n"), "\n")
	if from > 0 {
		all = all[1:] // It begins in the middle of a line.
	}
	if len(all) == 1 && all[0] == "" {
		return nil, nil
	}
	return all[max(0, len(all)-lines):], nil
}
