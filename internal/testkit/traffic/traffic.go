// Package traffic makes load for benchmarks of whole programs: an application whose
// work is waiting, and clients that send at a rate which doesn't wait for answers.
// Both are lean, so that on two cores the program between them is what is measured;
// the price is that they speak no more of HTTP/1.1 than each other and the programs
// under test need.
//
// Latency counts from when a request was due, not from when it was sent, so a
// program that stalls pays for every request it kept from being sent (Tene's
// "coordinated omission").
package traffic

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// head is what is read of a message before its body.
type head struct {
	status  int // of an answer
	length  int // of the body, -1 for chunked
	closing bool
	// location is where an answer redirects to.
	location string
}

var (
	lengthName   = []byte("content-length")
	transferName = []byte("transfer-encoding")
	closeName    = []byte("connection")
	locationName = []byte("location")
)

// readHead reads first line and fields. Of the fields only those count that say
// where the message ends.
func readHead(r *bufio.Reader) (head, error) {
	h := head{}
	line, err := r.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if bytes.HasPrefix(line, []byte("HTTP/1.")) && len(line) > 12 {
		if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
			return h, fmt.Errorf("status line %q: %w", line, err)
		}
		h.closing = line[7] == '0'
	}
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return h, unexpected(err)
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return h, nil
		}
		if err := h.field(line); err != nil {
			return h, err
		}
	}
}

func (h *head) field(line []byte) (err error) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, lengthName):
		if h.length, err = strconv.Atoi(string(value)); err != nil {
			return fmt.Errorf("length %q: %w", value, err)
		}
	case bytes.EqualFold(name, transferName):
		h.length = -1
	case bytes.EqualFold(name, closeName):
		h.closing = bytes.EqualFold(value, []byte("close"))
	case bytes.EqualFold(name, locationName):
		h.location = string(value)
	}
	return nil
}

// skipBody reads to the message's end.
func (h head) skipBody(r *bufio.Reader) error {
	if h.length >= 0 {
		_, err := r.Discard(h.length)
		return unexpected(err)
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return unexpected(err)
		}
		size, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 32)
		if err != nil {
			return fmt.Errorf("chunk %q: %w", line, err)
		}
		if _, err := r.Discard(int(size) + 2); err != nil {
			return unexpected(err)
		}
		if size == 0 {
			return nil
		}
	}
}

// unexpected is an end in the middle.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
