package remote

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
)

// packSize is about how large a pack of small blobs gets.
const packSize = 1 << 20

// sendPacks writes small blobs as tar files, each of which one process unpacks
// and one checks.
func (u *upload) sendPacks(w io.Writer, blobs []Blob) error {
	for len(blobs) > 0 {
		pack, taken, err := u.pack(blobs)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "pack %d\n", len(pack)); err != nil {
			return err
		}
		if _, err := w.Write(pack); err != nil {
			return err
		}
		for _, b := range blobs[:taken] {
			u.advance(b.Size)
		}
		blobs = blobs[taken:]
	}
	return nil
}

// pack makes a tar file of the first of the blobs.
func (u *upload) pack(blobs []Blob) (pack []byte, taken int, err error) {
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	for _, b := range blobs {
		if buffer.Len() > packSize {
			break
		}
		if err := u.add(archive, b); err != nil {
			return nil, 0, err
		}
		taken++
	}
	if err := archive.Close(); err != nil {
		return nil, 0, fmt.Errorf("pack small blobs: %w", err)
	}
	return buffer.Bytes(), taken, nil
}

func (u *upload) add(archive *tar.Writer, b Blob) error {
	content, err := u.openAt(b, 0)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := archive.WriteHeader(&tar.Header{Name: b.SHA256, Mode: 0o600, Size: b.Size, Format: tar.FormatUSTAR}); err != nil {
		return fmt.Errorf("pack blob %s: %w", b.SHA256, err)
	}
	if _, err := io.CopyN(archive, content, b.Size); err != nil {
		return fmt.Errorf("read blob %s: %w", b.SHA256, noEOF(err))
	}
	return nil
}
