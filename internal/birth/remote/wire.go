package remote

import (
	"net"
	"sync/atomic"
)

// wire counts what moves on a connection, which tells a dead one from a slow one.
type wire struct {
	net.Conn
	read, written atomic.Int64
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.read.Add(int64(n))
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.written.Add(int64(n))
	return n, err
}

// moved grows as long as the other side sends something or takes something: an
// answer may stand behind much that a slow network has not yet brought over.
func (w *wire) moved() int64 { return w.read.Load() + w.written.Load() - w.unsent() }
