package remote

import (
	"net"

	"golang.org/x/sys/unix"
)

// control calls f with the connection's descriptor, if it has one.
func (w *wire) control(f func(fd int)) {
	connection, ok := w.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := connection.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // a closed one has nothing to tell
	}
}

// unsent is how many written bytes the other side has not confirmed, tcp(7).
func (w *wire) unsent() (bytes int64) {
	w.control(func(fd int) {
		if waiting, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
			bytes = int64(waiting)
		}
	})
	return bytes
}

// confirm tells the other side at once what has come. sshd sends some of its
// answers only when the one before is confirmed (Nagle's algorithm), for which
// the kernel takes 40 ms where it isn't asked each time.
func (w *wire) confirm() {
	w.control(func(fd int) {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) // without it is only slower
	})
}
