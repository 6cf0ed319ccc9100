package remote

import (
	"net"

	"golang.org/x/sys/unix"
)

// unsent is how many written bytes the other side has not confirmed, tcp(7).
func (w *wire) unsent() int64 {
	connection, ok := w.Conn.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := connection.SyscallConn()
	if err != nil {
		return 0
	}
	var waiting int
	if err := raw.Control(func(fd uintptr) { waiting, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
		return 0
	}
	return int64(waiting)
}
