package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// output carries what the application writes to the writer that wants it. It
// is a pipe of this package and not of os/exec, as that one's Wait doesn't
// return while a process that the application left behind holds the pipe.
type output struct {
	file   *os.File // the end that the application writes to
	read   *os.File
	copied chan struct{}
}

// lastWords is how long the end of the output may take after the application
// has ended. Somebody it has handed the pipe to may hold it for ever.
const lastWords = time.Second

func newOutput(w io.Writer) (*output, error) {
	if file, ok := w.(*os.File); ok {
		return &output{file: file}, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for its output: %w", err)
	}
	o := &output{file: write, read: read, copied: make(chan struct{})}
	go func() {
		defer close(o.copied)
		if _, err := io.Copy(w, read); err != nil && !errors.Is(err, os.ErrClosed) {
			// The writer fails. The application must not stop for that, so what
			// it writes is read on and dropped.
			_, _ = io.Copy(io.Discard, read)
		}
	}()
	return o, nil
}

// handedOver closes this program's copy of the writing end once the application
// has its own.
func (o *output) handedOver() {
	if o.read != nil {
		_ = o.file.Close()
	}
}

// close ends the copying. With nothing of the application left the pipe ends
// by itself after its last byte.
func (o *output) close() {
	if o.read == nil {
		return
	}
	_ = o.file.Close()
	o.wait()
	_ = o.read.Close()
	o.wait()
}

func (o *output) wait() {
	select {
	case <-o.copied:
	case <-time.After(lastWords):
	}
}
