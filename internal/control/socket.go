package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// socketName is the socket's name in the folder.
const socketName = "sock"

// maxSocketPath is how long a socket's path may be: sun_path of unix(7) has 108
// bytes, the last a zero.
const maxSocketPath = 107

// reach gives a path of the socket in dir that fits, and what must be closed
// when the path is not needed any more. A long folder is opened, and the path
// leads through that descriptor: bind and connect follow /proc/self/fd like any
// other symbolic link. A change of the working directory would do as well, but
// belongs to the whole process.
func reach(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketName), func() { f.Close() }, nil
}

// Listen makes the socket in dir, which has mode 0700. A socket left by an
// owner that was killed is replaced: the caller holds the home's lock, so it is
// nobody's.
func Listen(dir string) (net.Listener, error) {
	name := filepath.Join(dir, socketName)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	path, done, err := reach(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", name, err)
	}
	l.SetUnlinkOnClose(false) // path may lead nowhere by then
	if err := os.Chmod(name, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return &listener{l, name}, nil
}

// listener removes the socket by its own name.
type listener struct {
	net.Listener
	name string
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	err := os.Remove(l.name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // the home was deleted under us
	}
	return errors.Join(err, l.Listener.Close())
}

// dial connects to the socket in dir; [ErrNoOwner] if nobody listens.
func dial(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := reach(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoOwner
	}
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNoOwner
	}
	return conn, err
}
