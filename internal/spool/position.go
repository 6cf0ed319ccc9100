package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
)

// positionFile holds the sequence of the first message that Kafka hasn't confirmed.
// It has two places that are written by turns, so that one is whole whatever cuts
// the other, and it never grows: on a full disk it can still be told what may be
// removed.
type positionFile struct {
	file placed
	turn uint64 // of the last writing
}

const (
	positionName = "position"
	positionSize = 20
	// positionApart is more than one write can tear, in bytes.
	positionApart = 4096
)

// openPosition reads where it was left. A file of which no place can be read is 0:
// then what is there is sent again rather than lost.
func openPosition(d disk, dir string) (*positionFile, uint64, error) {
	path := filepath.Join(dir, positionName)
	f, err := d.place(path)
	if err != nil {
		return nil, 0, fmt.Errorf("open how far the spool was sent: %w", err)
	}
	p := &positionFile{file: f}
	b := make([]byte, positionApart+positionSize)
	n, _ := f.ReadAt(b, 0) // what can't be read is none
	var position uint64
	for at := 0; at+positionSize <= n; at += positionApart {
		place := b[at : at+positionSize]
		turn := binary.LittleEndian.Uint64(place)
		if crc32.Checksum(place[:16], castagnoli) == binary.LittleEndian.Uint32(place[16:]) && turn > p.turn {
			p.turn, position = turn, binary.LittleEndian.Uint64(place[8:])
		}
	}
	if p.turn == 0 {
		err = errors.Join(p.write(position), p.write(position), d.syncFolder(dir))
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return p, position, nil
}

// write returns once a position is on disk.
func (p *positionFile) write(position uint64) error {
	b := binary.LittleEndian.AppendUint64(nil, p.turn+1)
	b = binary.LittleEndian.AppendUint64(b, position)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, err := p.file.WriteAt(b, int64((p.turn+1)%2)*positionApart)
	if err == nil {
		err = p.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("note how far the spool was sent: %w", err)
	}
	p.turn++
	return nil
}
