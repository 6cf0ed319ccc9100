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
	w.confirm()
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.written.Add(int64(n))
	return n, err
}

// took is how much the other side's machine has taken.
func (w *wire) took() int64 { return w.written.Load() - w.unsent() }

// movement remembers how far a connection was when it last moved.
type movement struct{ read, took int64 }

// much is how many bytes a machine has to take for that to be a sign of life: an
// answer may stand behind what a slow network has not yet brought over. A few are
// none, since the machine takes them though its sshd stands still.
const much = 4 << 10

// since reports whether the other side has sent something, or its machine has
// taken much, since the last time it did.
func (last *movement) since(w *wire) bool {
	now := movement{read: w.read.Load(), took: w.took()}
	if now.read == last.read && now.took-last.took < much {
		return false
	}
	*last = now
	return true
}
