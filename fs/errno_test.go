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

	fusefs "github.com/hanwen/go-fuse/v2/fs"

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
	n := &node{d: newDrive(nil, slog.New(slog.NewTextHandler(&log, nil)))}
	fusefs.NewNodeFS(n, &fusefs.Options{RootStableAttr: &fusefs.StableAttr{Ino: cache.Root}})
	for range 3 {
		if no := n.errno("read", cache.ErrUnavailable); no != syscall.EIO {
			t.Errorf("%v, want EIO", no)
		}
		n.errno("lookup", cache.ErrNotExist)
	}
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), cache.ErrUnavailable.Error()) {
		t.Errorf("%d lines:\n%s", got, log.String())
	}
}
