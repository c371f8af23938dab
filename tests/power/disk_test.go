package power

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/faultfs"
)

// TestStackedDisk puts the home on a disk on which the kernel allows no
// passthrough, as overlayfs is: the drive does without.
func TestStackedDisk(t *testing.T) {
	r := newRig(t)
	if err := r.m.Unmount(); err != nil {
		t.Fatal(err)
	}
	r.disk.Stacked = true
	r.plug()
	r.start()
	name := filepath.Join(r.At, "file")
	if err := os.WriteFile(name, []byte("bytes"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "bytes" {
		t.Errorf("read %q, %v", got, err)
	}
	r.Run("wait", "--timeout", "1m")
}

// TestSpaceUnknown puts the home on a disk that tells a size of zero blocks, as
// some network file systems do: that is unknown, not full.
func TestSpaceUnknown(t *testing.T) {
	r := newRig(t)
	r.disk.SetSpace(0, 0)
	r.start(settle)
	name := filepath.Join(r.At, "file")
	want := bytes.Repeat([]byte("bytes"), 1<<20)
	if err := os.WriteFile(name, want, 0o644); err != nil {
		t.Fatal(err)
	}
	r.Run("wait", "--timeout", "1m")
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

// TestReadOnlyForAWhile: a disk on which nothing waits to be synced turns
// read-only, and writable again, as one of a server elsewhere may. Meanwhile
// changes are refused, what is here can be read, and status tells; then all goes
// on without a restart.
func TestReadOnlyForAWhile(t *testing.T) {
	r := newRig(t)
	r.start(settle)
	name := filepath.Join(r.At, "file")
	if err := os.WriteFile(name, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.Run("wait", "--timeout", "1m")
	d, err := os.Open(r.At)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	r.disk.Fail(faultfs.Fault{Ops: append([]string{"setattr", "unlink", "rmdir"}, faultfs.Changes...), Errno: syscall.EROFS})
	for what, change := range map[string]func() error{
		"create": func() error { return os.WriteFile(filepath.Join(r.At, "new"), []byte("new"), 0o644) },
		"write":  func() error { return os.WriteFile(name, []byte("lost"), 0o644) },
		"rename": func() error { return os.Rename(name, name+" moved") },
		"remove": func() error { return os.Remove(name) },
	} {
		if err := change(); !errors.Is(err, syscall.EROFS) && !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v, want EROFS or EIO", what, err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != "before" {
		t.Errorf("read %q, %v", got, err)
	}
	if out := r.Run("status"); !strings.Contains(out, "read-only") || !strings.Contains(out, "goes on by itself") {
		t.Errorf("status:\n%s", out)
	}
	r.disk.Heal()
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if s := r.Status(); s.DiskError == nil {
			break
		} else if time.Since(begun) > 2*time.Minute {
			t.Fatalf("on a disk that is well: %v", s.DiskError)
		}
	}
	if err := os.WriteFile(name, []byte("after"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.Run("wait", "--timeout", "1m")
	if got, err := os.ReadFile(name); err != nil || string(got) != "after" {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestFolderSyncTakesWhatIsOpen fsyncs a folder in which a file was written and is
// not released yet, as one may be that was just closed: its bytes are durable, too.
func TestFolderSyncTakesWhatIsOpen(t *testing.T) {
	r := newRig(t)
	r.start(settle)
	p := &program{dir: r.At}
	e := newEntry(file, filepath.Join(r.At, "file"))
	p.all = []*entry{e}
	b := bytes.Repeat([]byte("bytes"), 4000)
	e.begin(version{bytes: b})
	f, err := os.Create(e.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	e.finish()
	if err := p.syncFolder(e); err != nil {
		t.Fatal(err)
	}
	r.cut(faultfs.Loss{})
	r.start(settle)
	if _, err := e.check(time.Time{}); err != nil {
		t.Error(err)
	}
}
