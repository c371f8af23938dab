package power

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
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
