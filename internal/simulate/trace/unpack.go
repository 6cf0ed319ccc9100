package trace

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// errTooLong says that a file holds more than MostBytes.
var errTooLong = errors.New("it holds more than 2 GiB: export longer steps, or a shorter time")

// source is an unpacked file whose beginning can be looked at.
type source struct{ *bufio.Reader }

// unpack takes a file as it is or out of gzip or bzip2, whatever its name says,
// and leaves out the mark that some programs put before UTF-8.
func unpack(from io.Reader) (source, error) {
	in := bufio.NewReader(from)
	head, _ := in.Peek(3) // a file may be shorter
	var plain io.Reader = in
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return source{}, fmt.Errorf("read gzip: %w", err)
		}
		plain = z
	case bytes.HasPrefix(head, []byte("BZh")):
		plain = bzip2.NewReader(in)
	}
	s := source{bufio.NewReaderSize(&limited{from: plain, left: MostBytes}, 1<<16)}
	if mark, _ := s.Peek(3); bytes.Equal(mark, []byte{0xef, 0xbb, 0xbf}) {
		_, _ = s.Discard(len(mark)) // they were just looked at
	}
	return s, nil
}

// json reports whether the file begins as the JSON of Prometheus does, and not as
// a web server's times, which are in brackets, too.
func (s source) json() bool {
	head, _ := s.Peek(512)
	head = bytes.TrimLeft(head, " \t\r\n")
	if list, ok := bytes.CutPrefix(head, []byte("[")); ok {
		list = bytes.TrimLeft(list, " \t\r\n")
		return bytes.HasPrefix(list, []byte("{")) || bytes.HasPrefix(list, []byte("]"))
	}
	return bytes.HasPrefix(head, []byte("{"))
}

// limited ends in an error where an io.LimitedReader would end as the file does.
type limited struct {
	from io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, errTooLong
	}
	return n, err
}
