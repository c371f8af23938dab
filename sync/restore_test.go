package sync

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// What follows a hard link in the order of names is restored too, and a pipe is
// a pipe again.
func TestRestoreLinksAndSpecials(t *testing.T) {
	c, err := cache.Open(t.TempDir(), cache.Options{InoBase: 1 << 40, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	me := cache.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	content := func(i int) string { return fmt.Sprint("content ", i) }
	const files = 20
	for i := range files {
		a, h, err := c.Create(cache.Root, fmt.Sprintf("%02d", i), 0o640, me, cache.OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt([]byte(content(i)), 0); err != nil {
			t.Fatal(err)
		}
		h.Release()
		if i%5 == 0 {
			if _, err := c.Link(a.Ino, cache.Root, fmt.Sprintf("%02d again", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.Mknod(cache.Root, "15 pipe", unix.S_IFIFO|0o600, 0, me); err != nil {
		t.Fatal(err)
	}

	dest := filepath.Join(t.TempDir(), "dest")
	var last RestoreProgress
	if err := Restore(t.Context(), Now(c), []string{"/"}, dest, func(p RestoreProgress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if last.Files != files+files/5 || last.Files != last.TotalFiles || last.Bytes != last.TotalBytes {
		t.Errorf("counted %+v", last)
	}
	for i := range files {
		name := filepath.Join(dest, fmt.Sprintf("%02d", i))
		if b, err := os.ReadFile(name); err != nil || string(b) != content(i) {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		if i%5 != 0 {
			continue
		}
		a, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.Stat(name + " again"); err != nil || !os.SameFile(a, b) {
			t.Errorf("%s again is another file: %v", name, err)
		}
	}
	if info, err := os.Lstat(filepath.Join(dest, "15 pipe")); err != nil || info.Mode() != os.ModeNamedPipe|0o600 {
		t.Errorf("the pipe: %v, %v", info, err)
	}
}
