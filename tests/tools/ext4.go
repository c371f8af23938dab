package tools

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a small ext4 filesystem in a file, which can turn read-only as one does
// that met an error of its disk.
type Disk struct {
	t         testing.TB
	image, at string
}

// Ext4At makes a Disk of size bytes and mounts it at a folder that is there. Only
// root may; without the right the test skips.
func Ext4At(t testing.TB, at string, size int64) *Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("needs loop devices: %v", err)
	}
	Need(t, "mkfs.ext4", "mount", "umount")
	d := &Disk{t: t, image: filepath.Join(t.TempDir(), "image"), at: at}
	f, err := os.Create(d.image)
	if err == nil {
		err = f.Truncate(size)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	d.run("mkfs.ext4", "-q", "-F", d.image)
	if out, err := exec.Command("mount", "-o", "loop", d.image, at).CombinedOutput(); err != nil {
		if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
			t.Fatalf("mount of a small disk: %v: %s", err, out)
		}
		t.Skipf("needs loop devices: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", at, err)
		}
	})
	return d
}

// Abort does what the kernel does after an error of the disk: files that are open
// can no longer be written either, and what was not synced never will be.
func (d *Disk) Abort() {
	d.t.Helper()
	d.run("mount", "-o", "remount,abort", d.at)
}

// Renew unmounts the disk, which nobody may use, and mounts it anew.
func (d *Disk) Renew() {
	d.t.Helper()
	d.run("umount", d.at)
	d.run("mount", "-o", "loop", d.image, d.at)
}

// Rot changes bytes on the disk, past the filesystem, which knows nothing of it:
// what reads them from the disk sees others, and no time or size tells. The disk has
// from exactly once, and to is as long.
func (d *Disk) Rot(from, to string) {
	d.t.Helper()
	d.run("sync", "-f", d.at)
	disk, err := os.ReadFile(d.image)
	if err != nil {
		d.t.Fatal(err)
	}
	if n := bytes.Count(disk, []byte(from)); n != 1 {
		d.t.Fatalf("the disk has %q %d times", from, n)
	}
	f, err := os.OpenFile(d.image, os.O_WRONLY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(to), int64(bytes.Index(disk, []byte(from))))
	if err := errors.Join(err, f.Close()); err != nil {
		d.t.Fatal(err)
	}
}

func (d *Disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}
