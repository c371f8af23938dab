package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// outside is what a feed finds of a file.
func outside(t testing.TB, path string) cache.Outside {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	at := func(ts unix.Timespec) time.Time { return time.Unix(ts.Sec, ts.Nsec) }
	o := cache.Outside{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Mtime: at(st.Mtim),
		Origin: cache.Origin{Dev: st.Dev, Ino: st.Ino, Size: st.Size, Mtime: at(st.Mtim), Ctime: at(st.Ctim)}}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		o.Target, _ = os.Readlink(path)
	}
	return o
}

// feeder is the simplest feed there can be: it compares a folder with its place.
type feeder struct {
	t    testing.TB
	c    *cache.Cache
	f    *cache.Feed
	root string
	inos map[uint64]where // of files in the place, by their inode outside
}

type where struct {
	parent cache.Ino
	name   string
	ino    cache.Ino
}

// feed takes a folder into the place of that name.
func feed(t testing.TB, c *cache.Cache, root string, takeOver bool) cache.Place {
	t.Helper()
	p, err := c.AddPlace("Music", cache.Place{Root: root, TakeOver: takeOver}, outside(t, root))
	if err != nil {
		t.Fatal(err)
	}
	f := &feeder{t: t, c: c, f: c.Feed(p), root: root, inos: map[uint64]where{}}
	f.known(p.Dir)
	f.dir(p.Dir, root)
	f.must(f.f.Update(p.Dir, outside(t, root), false))
	return p
}

func (f *feeder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *feeder) known(dir cache.Ino) {
	list, err := f.c.FedDir(dir)
	f.must(err)
	for _, e := range list {
		if e.Mode&unix.S_IFMT == unix.S_IFDIR {
			f.known(e.Ino)
		} else if e.Origin.Ino != 0 {
			f.inos[e.Origin.Ino] = where{dir, e.Name, e.Ino}
		}
	}
}

func (f *feeder) remove(dir cache.Ino, e cache.FedEntry) {
	if e.Mode&unix.S_IFMT == unix.S_IFDIR {
		kids, err := f.c.FedDir(e.Ino)
		f.must(err)
		for _, k := range kids {
			f.remove(e.Ino, k)
		}
	}
	f.must(f.f.Remove(dir, e.Name))
}

func (f *feeder) dir(dir cache.Ino, path string) {
	list, err := f.c.FedDir(dir)
	f.must(err)
	for _, e := range list {
		o, err := os.Lstat(filepath.Join(path, e.Name))
		if err != nil || uint32(o.Mode().Type()) != 0 && e.Mode&unix.S_IFMT == unix.S_IFREG || o.IsDir() != (e.Mode&unix.S_IFMT == unix.S_IFDIR) {
			f.remove(dir, e)
		}
	}
	names, err := os.ReadDir(path)
	f.must(err)
	for _, n := range names {
		name := n.Name()
		o := outside(f.t, filepath.Join(path, name))
		e, ok := f.entry(dir, name) // a move may have taken it
		if ok && e.Mode&unix.S_IFMT != o.Mode&unix.S_IFMT {
			f.remove(dir, e)
			ok = false
		}
		if !ok {
			e.Ino = f.add(dir, name, o)
		} else if e.Origin != o.Origin {
			delete(f.inos, e.Origin.Ino) // it is this file, and may be the number of another by now
			f.must(f.f.Update(e.Ino, o, e.Origin.Size != o.Origin.Size || !e.Origin.Mtime.Equal(o.Origin.Mtime)))
		}
		if n.IsDir() {
			f.dir(e.Ino, filepath.Join(path, name))
			f.must(f.f.Update(e.Ino, outside(f.t, filepath.Join(path, name)), false))
		}
	}
}

func (f *feeder) entry(dir cache.Ino, name string) (e cache.FedEntry, ok bool) {
	list, err := f.c.FedDir(dir)
	f.must(err)
	i := slices.IndexFunc(list, func(e cache.FedEntry) bool { return e.Name == name })
	if i < 0 {
		return e, false
	}
	return list[i], true
}

func (f *feeder) add(dir cache.Ino, name string, o cache.Outside) cache.Ino {
	if w, ok := f.inos[o.Origin.Ino]; ok && o.Mode&unix.S_IFMT == unix.S_IFREG {
		err := f.f.Move(w.parent, w.name, dir, name)
		if err == nil {
			f.must(f.f.Update(w.ino, o, false))
			return w.ino
		}
		if !errors.Is(err, cache.ErrNotExist) {
			f.must(err)
		}
	}
	ino, err := f.f.Add(dir, name, o)
	f.must(err)
	return ino
}

// mustEqual compares the place on the drive with the folder outside.
func mustEqual(t testing.TB, d *device, root string) {
	t.Helper()
	want := map[string]bool{}
	err := filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		name := filepath.Join("Music", rel)
		want[name] = true
		a, err := Resolve(d.cache, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		o := outside(t, p)
		if a.Mode != o.Mode || !a.Mtime.Equal(o.Mtime) {
			t.Errorf("%s: mode %o of %v, want %o of %v", name, a.Mode, a.Mtime, o.Mode, o.Mtime)
		}
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if got := d.read(name); !bytes.Equal(got, text) {
				t.Errorf("%s: %d bytes that differ from the %d outside", name, len(got), len(text))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	top, err := d.cache.Lookup(cache.Root, "Music")
	if err != nil {
		t.Fatal(err)
	}
	err = d.cache.EachFed(top.Ino, func(path string, _ cache.FedEntry) error {
		if !want["Music/"+path] {
			t.Errorf("%s is on the drive and not outside", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFedFolder: a folder is fed, uploaded from where it lies, and on another
// device as it is; there it is read-only. What is changed, renamed and removed
// follows, and only what is new is uploaded.
func TestFedFolder(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	root := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	put := func(name string, p []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), p, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	sound := wav(rnd, 400_000)
	put("a/one.wav", sound)
	put("a/two.wav", track(sound[44:], "the 2nd!"))
	put("b/big.wav", wav(rnd, 2_000_000))
	put("b/text.txt", []byte("words"))
	put("empty", nil)
	feed(t, d.cache, root, false)
	mustEqual(t, d, root) // before anything is uploaded it is read from outside
	d.wait()
	mustEqual(t, d, root)
	cold := w.mustCheck()
	mustEqual(t, cold, root)
	a, err := Resolve(cold.cache, "Music/a/one.wav")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cold.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true}); !errors.Is(err, cache.ErrReadOnly) {
		t.Errorf("writing on another device: %v", err)
	}
	cold.close()
	if des, err := os.ReadDir(filepath.Join(d.dir, "content", fmt.Sprintf("%02x", byte(a.Ino)))); err != nil || len(des) > 1 {
		t.Errorf("contents beside those that were read: %v, %v", des, err)
	}

	up := d.w.Status().UploadedBytes
	for _, step := range []error{
		os.Rename(filepath.Join(root, "a/one.wav"), filepath.Join(root, "b/moved.wav")),
		os.Rename(filepath.Join(root, "a"), filepath.Join(root, "c")),
		os.Chmod(filepath.Join(root, "b/big.wav"), 0o600),
		os.Remove(filepath.Join(root, "b/text.txt")),
		os.Symlink("b/moved.wav", filepath.Join(root, "link")),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	feed(t, d.cache, root, false)
	d.wait()
	mustEqual(t, d, root)
	mustEqual(t, w.mustCheck(), root)
	if now := d.w.Status().UploadedBytes; now-up > 20_000 {
		t.Errorf("names cost %d bytes", now-up)
	}
}

// TestFedTakenOver: a home is lost and its place taken over by another device,
// which reads everything and uploads nothing but rows. The first one, if it comes
// back, does not feed it any more.
func TestFedTakenOver(t *testing.T) {
	w := newWorld(t)
	one := w.device("one")
	root := t.TempDir()
	sound := wav(rand.New(rand.NewPCG(1, 2)), 3_000_000)
	if err := os.WriteFile(filepath.Join(root, "a.wav"), sound, 0o640); err != nil {
		t.Fatal(err)
	}
	feed(t, one.cache, root, false)
	one.wait()
	one.close()

	two := w.device("two")
	if places, err := two.cache.Places(); err != nil || len(places) != 0 {
		t.Fatalf("places of a device that feeds none: %v, %v", places, err)
	}
	if _, err := two.cache.AddPlace("Music", cache.Place{Root: root}, outside(t, root)); !errors.Is(err, cache.ErrExist) {
		t.Errorf("taking over without saying so: %v", err)
	}
	p := feed(t, two.cache, root, true)
	two.wait()
	if up := two.w.Status().UploadedBytes; up > 20_000 {
		t.Errorf("%d bytes were uploaded again", up)
	}
	if err := os.WriteFile(filepath.Join(root, "b.wav"), sound[:1000], 0o640); err != nil {
		t.Fatal(err)
	}
	feed(t, two.cache, root, false)
	two.wait()
	mustEqual(t, two, root)

	one.open(w.st)
	places, err := one.cache.Places()
	left, err2 := one.cache.LeftPlaces()
	if err = errors.Join(err, err2); err != nil || len(places) != 0 || len(left) != 1 {
		t.Errorf("the first device feeds %v, has left %v, %v", places, left, err)
	}
	mustEqual(t, one, root)
	one.close()

	if err := two.cache.Detach(p.Dir); err != nil {
		t.Fatal(err)
	}
	two.wait()
	two.close()
	one.open(w.st)
	a, err := Resolve(one.cache, "Music/a.wav")
	if err != nil {
		t.Fatal(err)
	}
	h, err := one.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true})
	if err != nil {
		t.Fatal("writing after the place was detached elsewhere:", err)
	}
	if _, err := h.WriteAt([]byte("RIFX"), 0); err != nil {
		t.Fatal(err)
	}
	if err := h.Release(); err != nil {
		t.Fatal(err)
	}
	one.wait()
	if got := w.mustCheck().read("Music/a.wav"); string(got[:4]) != "RIFX" || !bytes.Equal(got[4:], sound[4:]) {
		t.Error("what was written into it then is not on the cold device")
	}
}

// TestFedByACopy: a home is copied, or restored from a backup, while a folder is
// being fed. Whoever comes second is a device of its own and feeds it no more, until
// it is told to; then the place is the folder, and nothing is missing.
func TestFedByACopy(t *testing.T) {
	w := newWorld(t)
	one := w.device("one")
	root := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	put := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), wav(rnd, 300_000), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	put("safe.wav")
	if err := os.Mkdir(filepath.Join(root, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	put("dir/safe.wav")
	feed(t, one.cache, root, false)
	one.wait()
	one.hold()
	put("dir/new.wav")
	put("safe.wav") // changed
	if err := os.Mkdir(filepath.Join(root, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	put("sub/new.wav")
	feed(t, one.cache, root, false)
	one.close()
	two := w.copyOf(one)
	one.open(w.st)
	one.wait()
	mustEqual(t, one, root)
	one.close()

	two.open(w.st)
	two.wait()
	places, err := two.cache.Places()
	left, err2 := two.cache.LeftPlaces()
	if err = errors.Join(err, err2); err != nil || len(places) != 0 || len(left) != 1 || left[0].Root != root {
		t.Fatalf("the copy feeds %v, has left %v, %v", places, left, err)
	}
	a, err := Resolve(two.cache, "Music/safe.wav")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true}); !errors.Is(err, cache.ErrReadOnly) {
		t.Errorf("writing in a place of the original: %v", err)
	}
	feed(t, two.cache, root, true)
	two.wait()
	mustEqual(t, two, root)
	two.close()
	mustEqual(t, w.mustCheck(), root)
}

// TestFedModel feeds a folder that changes at random, with a worker that is
// stopped, and a program that dies, at any moment. Whatever was missed on the way,
// after the next feed the cold drive is the folder.
func TestFedModel(t *testing.T) {
	seed := tools.Seed(t)
	for range tools.Count(t, 3, 30, 1000) {
		fedModel(t, seed)
		if t.Failed() {
			t.Fatalf("repeat with TUNESAFE_SEED=%d", seed)
		}
		seed++
	}
}

func fedModel(t *testing.T, seed int64) {
	w := newWorld(t)
	d := w.device("one")
	m := &folder{t: t, root: t.TempDir(), rnd: rand.New(rand.NewPCG(uint64(seed), 7))}
	sound := wav(m.rnd, 100_000)
	for range 12 {
		for range 1 + m.rnd.IntN(8) {
			m.step(sound)
		}
		feed(t, d.cache, m.root, false)
		switch m.rnd.IntN(4) {
		case 0:
			d.wait()
			mustEqual(t, d, m.root)
		case 1: // the folder changes while the worker reads it
			time.Sleep(time.Duration(m.rnd.IntN(20)) * time.Millisecond)
			m.step(sound)
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			if err := d.w.Wait(ctx); err != nil {
				t.Errorf("seed %d: waiting with files that changed: %v", seed, err)
			}
			cancel()
		case 2: // the program dies
			time.Sleep(time.Duration(m.rnd.IntN(20)) * time.Millisecond)
			d.stop()
			next := w.copyOf(d)
			d.stop = func() {}
			d.close()
			d = next
			d.open(w.st)
		}
		if t.Failed() {
			return
		}
	}
	feed(t, d.cache, m.root, false)
	d.wait()
	mustEqual(t, d, m.root)
	if st := d.cache.Stale(); len(st) > 0 {
		t.Errorf("stale at the end: %v", st)
	}
	cold := w.mustCheck()
	mustEqual(t, cold, m.root)
	cold.close()
	d.close()
}

// folder changes at random.
type folder struct {
	t    *testing.T
	root string
	rnd  *rand.Rand
	n    int
}

// some gives a path of what is there, "" if nothing is.
func (m *folder) some(dirs bool) string {
	var all []string
	filepath.Walk(m.root, func(p string, info os.FileInfo, err error) error {
		if err == nil && info.IsDir() == dirs {
			all = append(all, p)
		}
		return err
	})
	slices.Sort(all)
	if len(all) == 0 {
		return ""
	}
	return all[m.rnd.IntN(len(all))]
}

func (m *folder) fresh() string {
	m.n++
	return filepath.Join(m.some(true), fmt.Sprintf("%03d", m.n))
}

func (m *folder) content(sound []byte) []byte {
	if m.rnd.IntN(3) == 0 {
		return fmt.Appendf(nil, "text %d", m.rnd.IntN(5))
	}
	from := 44 + m.rnd.IntN(10)*1000
	return track(sound[from:from+m.rnd.IntN(len(sound)-from)&^1], fmt.Sprintf("%08d", m.rnd.IntN(100)))
}

func (m *folder) step(sound []byte) {
	m.t.Helper()
	var err error
	file := m.some(false)
	switch k := m.rnd.IntN(10); {
	case k < 3 || file == "":
		err = os.WriteFile(m.fresh(), m.content(sound), 0o644)
	case k == 3:
		err = os.Mkdir(m.fresh(), 0o755)
	case k == 4:
		err = os.Rename(file, m.fresh())
	case k == 5: // a tagger that rewrites in place
		err = os.WriteFile(file, m.content(sound), 0o644)
	case k == 6: // or by a rename
		tmp := m.fresh()
		err = errors.Join(os.WriteFile(tmp, m.content(sound), 0o600), os.Rename(tmp, file))
	case k == 7:
		err = os.Remove(file)
	case k == 8:
		if dir := m.some(true); dir != m.root {
			to := m.fresh()
			if os.Rename(dir, to) != nil { // below itself
				err = os.RemoveAll(dir)
			}
		}
	case k == 9:
		err = os.Chmod(file, 0o600+os.FileMode(m.rnd.IntN(8))*8)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}
