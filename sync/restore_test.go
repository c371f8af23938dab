package sync

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
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

// TestRestoreOfColdDrive: a restore asks once for each object of sound, has each byte
// sent once, and leaves nothing of it in the cache, where it would take the place of
// what is played.
func TestRestoreOfColdDrive(t *testing.T) {
	w := newWorld(t)
	rnd := rand.New(rand.NewPCG(9, 9))
	files := map[string][]byte{"long.wav": wav(rnd, 20<<20), "notes.txt": []byte("of 1998")}
	total := int64(20 << 20)
	for i := range 5 {
		files[fmt.Sprint(i, ".wav")] = wav(rnd, 3_000_000)
		total += 3_000_000
	}
	two := w.cold(files)
	two.write("new.wav", wav(rnd, 100_000)) // known here alone
	files["new.wav"] = two.read("new.wav")
	looked := files["3.wav"][:100_000]
	a, err := two.cache.Lookup(cache.Root, "3.wav")
	if err != nil {
		t.Fatal(err)
	}
	h, err := two.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(looked))
	if _, err := h.ReadAt(t.Context(), got, 0); err != nil || !bytes.Equal(got, looked) {
		t.Fatal("another beginning", err)
	}
	h.Release()
	before, here := w.st.Counts(), contentBytes(t, two)
	dest := t.TempDir()
	if err := Restore(t.Context(), Now(two.cache), []string{"/"}, dest, nil); err != nil {
		t.Fatal(err)
	}
	after := w.st.Counts()
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dest, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes, %v", name, err)
		}
	}
	gets, down := after.Gets-before.Gets, after.DownloadedBytes-before.DownloadedBytes
	t.Logf("%d bytes in %d requests of %d", down, gets, total)
	if gets > 5+5+3 || down > total+total/50 { // long.wav is five objects at most; three packs
		t.Errorf("%d requests and %d bytes for %d", gets, down, total)
	}
	if n := contentBytes(t, two); n > here {
		t.Errorf("%d bytes of the restored are in the cache, %d were", n, here)
	}
}

// contentBytes is the room on the disk of what the cache holds.
func contentBytes(t *testing.T, d *device) (sum int64) {
	err := filepath.WalkDir(filepath.Join(d.dir, "content"), func(p string, e fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && !e.IsDir() {
			err = unix.Stat(p, &st)
		}
		sum += st.Blocks * 512
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
