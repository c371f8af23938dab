package tools

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Tmpfs mounts a small filesystem with options as those of tmpfs(5), and
// returns where. Only root may; without the right the test skips.
func Tmpfs(t testing.TB, options string) string {
	t.Helper()
	at := t.TempDir()
	TmpfsAt(t, at, options)
	return at
}

// TmpfsAt is [Tmpfs] at a folder that is there.
func TmpfsAt(t testing.TB, at, options string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small disk")
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, options); err != nil {
		if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
			t.Fatalf("mount of a small disk: %v", err)
		}
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", at, err)
		}
	})
}
