package s3

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// limitSilence sets TCP_USER_TIMEOUT (RFC 5482, tcp(7)) on a new socket:
// without it the kernel retransmits into a dead line for a quarter of an hour.
func limitSilence(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silentPeer.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
