package fs

import (
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/tunesafe/tunesafe/cache"
)

// The kernel hands a second ESTALE in a row on to the program, so there is none.
func TestSecondStaleIsNotTold(t *testing.T) {
	c, err := cache.Open(t.TempDir(), cache.Options{})
	check(t, err)
	defer c.Close()
	d := newDrive(c, slog.New(slog.DiscardHandler))
	defer d.close()
	create := func() syscall.Errno {
		return d.node(cache.Root).Create(fuse.Caller{Pid: 7}, "f", syscall.O_WRONLY, 0o644, new(fuse.CreateOut))
	}
	_, err = c.Mkdir(cache.Root, "f", 0o755, cache.Owner{})
	check(t, err)
	if no := create(); no != syscall.ESTALE {
		t.Fatalf("a name that came from elsewhere: %v, want ESTALE", no)
	}
	gone := make(chan error, 1)
	go func() {
		time.Sleep(20 * time.Millisecond)
		gone <- c.Rmdir(cache.Root, "f")
	}()
	if no := create(); no != 0 {
		t.Errorf("looked at again, there again, and gone: %v", no)
	}
	check(t, <-gone)
}
