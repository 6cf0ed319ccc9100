package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

const positionName = "position"

// readPosition is the sequence of the first message that Kafka hasn't confirmed.
// One that can't be read is 0: then what is there is sent again rather than lost.
func readPosition(dir string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(dir, positionName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read how far the spool was sent: %w", err)
	}
	if len(b) != 12 || crc32.Checksum(b[:8], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
		return 0, nil
	}
	return binary.LittleEndian.Uint64(b), nil
}

func writePosition(d disk, dir string, position uint64) error {
	b := binary.LittleEndian.AppendUint64(nil, position)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	err := renameio.WriteFile(filepath.Join(dir, positionName), b, 0o600, renameio.WithTempDir(dir))
	if err == nil {
		err = d.syncFolder(dir)
	}
	if err != nil {
		return fmt.Errorf("note how far the spool was sent: %w", err)
	}
	return nil
}
