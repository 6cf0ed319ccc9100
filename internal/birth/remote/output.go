package remote

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/mask"
)

const (
	// tailLines is how many of the last lines of a command's output its error has.
	// One that tells of a command of its own shows 20 lines of that below its cause.
	tailLines = 30
	// lineLimit is the length a line is cut to.
	lineLimit = 16 << 10
)

// output takes the lines of a command, masks them, and keeps the last.
type output struct {
	mask     mask.Mask
	progress func(line string)

	mu   sync.Mutex
	last []string
}

// pump reads lines until the end of the stream.
func (o *output) pump(stream io.Reader) {
	reader := bufio.NewReaderSize(stream, lineLimit)
	for {
		line, err := reader.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 {
			o.take(string(line), long)
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = reader.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// take is called for both streams, one line at a time.
func (o *output) take(line string, long bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if long {
		line = o.mask.Cut(line)
	} else {
		line = o.mask.Apply(strings.TrimRight(line, "\r\n"))
	}
	if len(o.last) == tailLines {
		o.last = o.last[1:]
	}
	o.last = append(o.last, line)
	if o.progress != nil {
		o.progress(line)
	}
}

// tail is the last lines.
func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.last, "\n")
}
