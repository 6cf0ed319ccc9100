package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A frame is one message on disk:
//
//	marker 4 | length 4 | sequence 8 | place 4 | CRC32C 4 | payload
//
// Numbers are little-endian. The checksum is over the salt of the segment, what
// stands before it but the marker, and the payload. The salt is random, and told by
// the file's name: what looks like a frame inside a message, or is left on a disk
// from another file, is no frame of this segment.
type frame struct {
	sequence uint64
	// place is how many frames of the same commit come before this one. A commit is
	// written once the one before is on disk, so each frame proves that all before
	// sequence - place were.
	place   uint32
	payload []byte
}

const (
	frameHead = 24
	// frameMax bounds what a length is believed to be, in bytes.
	frameMax = 256 << 20
)

var (
	frameMarker = []byte("\xf5sp1")
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)

	errShort = errors.New("the frame goes on behind the end")
	errBad   = errors.New("there is no frame")
)

func checksum(salt uint64, head, payload []byte) uint32 {
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], salt)
	sum := crc32.Update(0, castagnoli, seed[:])
	sum = crc32.Update(sum, castagnoli, head[4:20])
	return crc32.Update(sum, castagnoli, payload)
}

func appendFrame(b []byte, salt uint64, f frame) []byte {
	at := len(b)
	b = append(b, frameMarker...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.payload)))
	b = binary.LittleEndian.AppendUint64(b, f.sequence)
	b = binary.LittleEndian.AppendUint32(b, f.place)
	b = binary.LittleEndian.AppendUint32(b, checksum(salt, b[at:], f.payload))
	return append(b, f.payload...)
}

// parseFrame reads the frame that b begins with, and its size. errShort says that
// more bytes are needed to tell.
func parseFrame(b []byte, salt uint64) (frame, int, error) {
	if !bytes.HasPrefix(b, frameMarker[:min(len(b), len(frameMarker))]) {
		return frame{}, 0, errBad
	}
	if len(b) < frameHead {
		return frame{}, frameHead, errShort
	}
	length := int(binary.LittleEndian.Uint32(b[4:]))
	if length > frameMax {
		return frame{}, 0, errBad
	}
	size := frameHead + length
	if len(b) < size {
		return frame{}, size, errShort
	}
	payload := b[frameHead:size:size]
	if checksum(salt, b, payload) != binary.LittleEndian.Uint32(b[20:]) {
		return frame{}, 0, errBad
	}
	return frame{
		sequence: binary.LittleEndian.Uint64(b[8:]), place: binary.LittleEndian.Uint32(b[16:]), payload: payload,
	}, size, nil
}

// findFrame is where in b the first whole frame begins.
func findFrame(b []byte, salt uint64) (at int, found bool) {
	for {
		i := bytes.Index(b[at:], frameMarker)
		if i < 0 {
			return 0, false
		}
		at += i
		if _, _, err := parseFrame(b[at:], salt); err == nil {
			return at, true
		}
		at++
	}
}
