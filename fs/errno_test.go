package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
)

func TestErrno(t *testing.T) {
	for _, tt := range []struct {
		err   error
		want  syscall.Errno
		known bool
	}{
		{cache.ErrNotExist, syscall.ENOENT, true},
		{fmt.Errorf("lookup: %w", cache.ErrNotExist), syscall.ENOENT, true},
		{cache.ErrNotEmpty, syscall.ENOTEMPTY, true},
		{cache.ErrNoXattr, syscall.ENODATA, true},
		{cache.ErrXattrSize, syscall.E2BIG, true},
		{context.Canceled, syscall.EINTR, true},
		{&iofs.PathError{Op: "write", Path: "content/1", Err: syscall.ENOSPC}, syscall.ENOSPC, true},
		{&iofs.PathError{Op: "write", Path: "content/1", Err: syscall.EDQUOT}, syscall.EDQUOT, true},
		{&iofs.PathError{Op: "write", Path: "content/1", Err: syscall.EFBIG}, syscall.EFBIG, true},
		{&iofs.PathError{Op: "open", Path: "content/1", Err: syscall.ESTALE}, syscall.EIO, false},
		{cache.ErrXattrSpace, syscall.ENOSPC, true},
		{fmt.Errorf("seek: %w", syscall.ENXIO), syscall.ENXIO, true},
		{cache.ErrUnavailable, syscall.EIO, false},
		{fmt.Errorf("%w: %w", cache.ErrUnavailable, syscall.ECONNREFUSED), syscall.EIO, false},
		{cache.ErrOwed, syscall.EIO, false},
		{io.ErrUnexpectedEOF, syscall.EIO, false},
		{errors.New("something new"), syscall.EIO, false},
		// Our own content file is gone; the drive's file is not.
		{&iofs.PathError{Op: "open", Path: "content/1", Err: syscall.ENOENT}, syscall.EIO, false},
	} {
		if got, known := toErrno(tt.err); got != tt.want || known != tt.known {
			t.Errorf("%v: %v, %v; want %v, %v", tt.err, got, known, tt.want, tt.known)
		}
	}
}

func TestFailuresAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	c, err := cache.Open(t.TempDir(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir, err := c.Mkdir(cache.Root, "Aria", 0o755, cache.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Mknod(dir.Ino, "1.flac", syscall.S_IFREG|0o644, 0, cache.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	d := newDrive(c, slog.New(slog.NewTextHandler(&log, nil)))
	n := d.node(a.Ino)
	for range 3 {
		if no := n.errno("read", cache.ErrUnavailable); no != syscall.EIO {
			t.Errorf("%v, want EIO", no)
		}
		n.errno("lookup", cache.ErrNotExist)
	}
	d.close()
	if !strings.Contains(log.String(), "path=Aria/1.flac") {
		t.Errorf("without its path:\n%s", log.String())
	}
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), cache.ErrUnavailable.Error()) {
		t.Errorf("%d lines:\n%s", got, log.String())
	}
}
