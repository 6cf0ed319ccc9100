package bundle

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// folder is a place in the file system.
type folder string

func newFolder(path string) (folder, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("it must be an absolute path")
	}
	return folder(path), nil
}

func (f folder) String() string { return string(f) }

func (f folder) address() string { return string(f) }

func (f folder) path(name string) string { return filepath.Join(string(f), filepath.FromSlash(name)) }

func (f folder) rest() {}

func (f folder) open(_ context.Context, name string, offset int64) (*piece, error) {
	file, err := os.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		_, err = file.Seek(offset, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &piece{ReadCloser: file, offset: offset, total: info.Size()}, nil
}

func (f folder) size(_ context.Context, name string) (int64, error) {
	info, err := os.Stat(f.path(name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f folder) put(_ context.Context, name string, _ int64, from io.Reader) error {
	return writeWhole(f.path(name), 0o644, from)
}

// writeWhole writes a file that is whole or not there.
func writeWhole(path string, mode os.FileMode, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := renameio.NewPendingFile(path, renameio.WithStaticPermissions(mode), renameio.WithTempDir(filepath.Dir(path)))
	if err != nil {
		return err
	}
	defer func() { _ = file.Cleanup() }() // nothing to do once it has its name
	if _, err := io.Copy(file, from); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}
