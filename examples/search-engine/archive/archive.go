// Package archive is the web that the example crawls: any .jar, .zip or folder
// of HTML, read in place and served over HTTP.
//
// It leaves out what a crawler of static pages does not need: caching headers,
// ranges and compression.
package archive

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Archive is a tree of files in a .jar, a .zip or a folder. Close releases it.
type Archive struct {
	fs.FS
	io.Closer
}

// Open opens the .jar, .zip or folder at path.
func Open(path string) (*Archive, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open the web to serve: %w", err)
	}
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, fmt.Errorf("open folder %s: %w", path, err)
		}
		return &Archive{FS: root.FS(), Closer: root}, nil
	}
	reader, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("open %s as .jar or .zip: %w", path, err)
	}
	return &Archive{FS: reader, Closer: reader}, nil
}
