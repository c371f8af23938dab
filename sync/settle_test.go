package sync

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// copyOf copies a home that is not open.
func (w *world) copyOf(d *device) *device {
	w.t.Helper()
	c := &device{t: w.t, dir: w.t.TempDir(), keys: d.keys, dev: d.dev}
	c.enrol = w.enroller(c)
	copyHome(w.t, d.dir, c.dir)
	w.t.Cleanup(c.close)
	return c
}

// copyHome copies a folder with the times of its files, as a backup does, at an instant
// at which none of them changes: a home may be open yet.
func copyHome(t testing.TB, from, to string) {
	t.Helper()
	for range 100 {
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		before := filesOf(t, from)
		err := os.CopyFS(to, os.DirFS(from))
		if !maps.Equal(before, filesOf(t, from)) {
			continue
		}
		for name, f := range before {
			err = errors.Join(err, os.Chtimes(filepath.Join(to, name), f.time, f.time))
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the home changes all the time")
}

type fileOf struct {
	size int64
	time time.Time
}

// filesOf gives what there is below a folder, by its path in it.
func filesOf(t testing.TB, dir string) map[string]fileOf {
	t.Helper()
	all := map[string]fileOf{}
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil {
			all[strings.TrimPrefix(p, dir)] = fileOf{info.Size(), info.ModTime()}
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) { // or it went meanwhile
		t.Fatal(err)
	}
	return all
}

// names lists the top directory.
func (d *device) names() (names []string) {
	d.t.Helper()
	list, err := d.cache.ReadDir(cache.Root)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name)
	}
	return names
}

func (d *device) mustHave(name, want string) {
	d.t.Helper()
	if !slices.Contains(d.names(), name) {
		d.t.Errorf("%s is not among %q", name, d.names())
	} else if got := d.read(name); string(got) != want {
		d.t.Errorf("%s holds %q, want %q", name, got, want)
	}
}

// mustCheck has the repository checked, and taken in by a fresh device.
func (w *world) mustCheck() *device {
	w.t.Helper()
	cold := w.device("cold")
	findings, _, err := repo.Check(context.Background(), w.mem, w.keys, cold.index, repo.CheckOptions{Read: true})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range findings {
		if !f.Harmless {
			w.t.Errorf("check: %s: %s", f.Object, f.Problem)
		}
	}
	return cold
}

// hold stops the worker, so that what is written waits.
func (d *device) hold() { d.stop(); d.stop = func() {} }

// TestClonesGoOnApart: a home is copied mid-life, with files that wait; the
// original and the copy make, change, rename and delete. Whoever comes second is
// a device of its own, and all that both did is on the drive.
func TestClonesGoOnApart(t *testing.T) {
	w := newWorld(t)
	one := w.device("one")
	one.write("shared.txt", []byte("as it was"))
	one.write("theirs.txt", []byte("as it was"))
	one.write("ours.txt", []byte("as it was"))
	one.write("goes.txt", []byte("as it was"))
	one.wait()
	one.hold()
	one.write("waiting.txt", []byte("written before the copy"))
	one.close()
	two := w.copyOf(one)

	one.open(w.st)
	one.write("new of one.txt", []byte("the number of this inode is free in the copy"))
	one.write("both.txt", []byte("made by one"))
	one.write("shared.txt", []byte("changed by one"))
	one.write("theirs.txt", []byte("changed by one"))
	if err := one.cache.Unlink(cache.Root, "goes.txt"); err != nil {
		t.Fatal(err)
	}
	one.wait()
	one.close()

	two.assemble(w.st)
	two.stop = func() {} // it writes far from its bucket
	two.write("new of two.txt", []byte("of the copy"))
	two.write("both.txt", []byte("made by two"))
	two.write("shared.txt", []byte("changed by two"))
	two.write("ours.txt", []byte("changed by two"))
	dir, err := two.cache.Mkdir(cache.Root, "folder", 0o755, cache.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	if err := two.cache.Rename(cache.Root, "new of two.txt", dir.Ino, "inside.txt", cache.RenameFlags{}); err != nil {
		t.Fatal(err)
	}
	two.close()
	was := two.dev.ID
	two.open(w.st)
	if two.dev.ID == was {
		t.Fatal("the copy goes on as the same device")
	}
	two.wait()

	one.open(w.st)
	cold := w.mustCheck()
	for _, d := range []*device{one, two, cold} {
		t.Log(d.dev.Name, d.names())
		d.mustHave("waiting.txt", "written before the copy")
		d.mustHave("new of one.txt", "the number of this inode is free in the copy")
		d.mustHave("theirs.txt", "changed by one")
		d.mustHave("ours.txt", "changed by two")
		d.mustHave("shared.txt", "changed by one")
		d.mustHave("both.txt", "made by one")
		if got := d.read("folder/inside.txt"); string(got) != "of the copy" {
			t.Errorf("folder/inside.txt holds %q", got)
		}
		for name, want := range map[string]string{"shared (of ": "changed by two", "both (of ": "made by two"} {
			i := slices.IndexFunc(d.names(), func(n string) bool { return strings.HasPrefix(n, name) })
			if i < 0 {
				t.Errorf("%s: nothing called %q…: %q", d.dev.Name, name, d.names())
				continue
			}
			d.mustHave(d.names()[i], want)
		}
		if slices.Contains(d.names(), "goes.txt") {
			t.Errorf("%s: what was deleted is back", d.dev.Name)
		}
		if n := len(d.names()); n != 9 {
			t.Errorf("%s: %d names, want 9: %q", d.dev.Name, n, d.names())
		}
	}
}

// TestRestoredHome: an old copy of the home, with files that waited then, takes
// the place of the newer one. What the newer one committed since is there, not
// reverted and not twice.
func TestRestoredHome(t *testing.T) {
	w := newWorld(t)
	one := w.device("one")
	one.write("a.txt", []byte("first"))
	one.wait()
	one.hold()
	one.write("a.txt", []byte("second"))
	one.write("waits.txt", []byte("waits in the old copy"))
	if _, err := one.cache.Mkdir(cache.Root, "folder", 0o755, cache.Owner{}); err != nil {
		t.Fatal(err)
	}
	one.write("deleted later.txt", []byte("gone"))
	one.write("replaced later.txt", []byte("old"))
	one.close()
	old := w.copyOf(one)

	one.open(w.st)
	one.wait() // all of that is committed, as it was
	one.write("a.txt", []byte("third"))
	p := make([]byte, 400_000)
	for i := range p {
		p[i] = byte(rand.N(256))
	}
	one.write("big.wav", p)
	if err := one.cache.Unlink(cache.Root, "deleted later.txt"); err != nil {
		t.Fatal(err)
	}
	one.write("other.txt", []byte("new"))
	if err := one.cache.Rename(cache.Root, "other.txt", cache.Root, "replaced later.txt", cache.RenameFlags{}); err != nil {
		t.Fatal(err)
	}
	one.wait()
	one.close()

	was := old.dev.ID
	old.open(w.st)
	if old.dev.ID == was {
		t.Fatal("the restored home goes on as the same device")
	}
	old.write("after.txt", []byte("made after it was restored"))
	old.wait()
	old.close()
	old.open(w.st)
	id := old.dev.ID
	cold := w.mustCheck()
	for _, d := range []*device{old, cold} {
		d.mustHave("a.txt", "third")
		d.mustHave("waits.txt", "waits in the old copy")
		d.mustHave("replaced later.txt", "new")
		d.mustHave("after.txt", "made after it was restored")
		if got := d.read("big.wav"); !bytes.Equal(got, p) {
			t.Errorf("%s: big.wav differs", d.dev.Name)
		}
		if n := len(d.names()); n != 6 {
			t.Errorf("%s: %d names, want 6: %q", d.dev.Name, n, d.names())
		}
	}
	if old.dev.ID != id {
		t.Error("it became another device once more")
	}
}

// TestCopyWithoutTheKey: a copy that cannot be enrolled loses nothing, and
// commits nothing.
func TestCopyWithoutTheKey(t *testing.T) {
	w := newWorld(t)
	one := w.device("one")
	one.write("a.txt", []byte("first"))
	one.wait()
	one.close()
	two := w.copyOf(one)
	two.enrol = nil
	one.open(w.st)
	one.write("b.txt", []byte("by one"))
	one.wait()
	two.openWithoutPull(w.st)
	two.write("c.txt", []byte("by two"))
	if _, err := two.w.Pull(context.Background()); err == nil || !strings.Contains(err.Error(), ErrCloned.Error()) {
		t.Fatalf("taking in: %v, want ErrCloned", err)
	}
	two.mustHave("c.txt", "by two")
	two.mustHave("a.txt", "first")
	two.close()
	two.enrol = w.enroller(two)
	two.open(w.st)
	two.mustHave("b.txt", "by one")
	two.mustHave("c.txt", "by two")
	two.wait()
	w.mustCheck().mustHave("c.txt", "by two")
}
