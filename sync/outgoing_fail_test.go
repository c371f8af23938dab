package sync

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/faultfs"
)

// keeper is a worker, for what it does with the outgoing commit, over a disk that
// can fail; end takes the power from it.
func keeper(t *testing.T, disk *faultfs.Disk) (w *Worker, end func(faultfs.Loss)) {
	t.Helper()
	drive.NeedFUSE(t)
	dir := t.TempDir()
	m, err := disk.Mount(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(faultfs.Loss{}) })
	ended := false
	return &Worker{o: Options{Dir: dir}, log: slog.New(slog.DiscardHandler)}, func(l faultfs.Loss) {
		if ended {
			return
		}
		ended = true
		m.Cut(l)
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	}
}

// TestOutgoingAfterFailedSync keeps a commit again after the disk failed to take
// it, and loses power then.
func TestOutgoingAfterFailedSync(t *testing.T) {
	disk := faultfs.New()
	w, losePower := keeper(t, disk)
	out := &outgoing{Name: "name", Body: bytes.Repeat([]byte("body"), 5000)}
	disk.Fail(faultfs.Fault{Ops: []string{"fsync"}, Times: 1, Errno: unix.EIO})
	if err := w.keep(out); !errors.Is(err, unix.EIO) {
		t.Fatalf("the sync failed: %v", err)
	}
	if err := w.keep(out); err != nil {
		t.Fatal(err)
	}
	losePower(faultfs.Loss{})
	w, _ = keeper(t, disk)
	got, err := w.readOutgoing()
	if err != nil || got == nil || !bytes.Equal(got.Body, out.Body) {
		t.Errorf("after the power loss: %v, %v", got, err)
	}
}

// TestFailedSyncOfNamesIsFinal: neither is another commit kept after one, nor is
// that sent which may not be on the disk.
func TestFailedSyncOfNamesIsFinal(t *testing.T) {
	for _, at := range []int{1, 2} { // before the commit is written, and after its renaming
		disk := faultfs.New()
		w, _ := keeper(t, disk)
		out := &outgoing{Name: "name", Body: []byte("body")}
		disk.Fail(faultfs.Fault{Ops: []string{"fsyncdir"}, From: at, Times: 1, Errno: unix.EIO})
		for range 2 {
			if err := w.keep(out); !errors.Is(err, unix.EIO) {
				t.Errorf("sync %d of the folder failed: keep: %v", at, err)
			}
			if err := w.resend(t.Context()); !errors.Is(err, unix.EIO) {
				t.Errorf("sync %d of the folder failed: resend: %v", at, err)
			}
		}
	}
}
