package line

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// roundTrip is the kernel's smoothed measure, tcp(7); 0 if it has none.
func roundTrip(c *net.TCPConn) (rtt time.Duration) {
	control(c, func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt
}

// holdLittle has the kernel take no more than so many bytes that it cannot send
// yet.
func holdLittle(c *net.TCPConn, bytes int) {
	control(c, func(fd int) {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes) // else a new rate holds later
	})
}

func control(c *net.TCPConn, f func(fd int)) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // fails on a closed connection only
}
