package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const testDevice = "00112233445566aa"

// lstat is what a feed finds of a file outside.
func lstat(t testing.TB, path string) Outside {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return Outside{Mode: st.Mode, UID: st.Uid, GID: st.Gid, Mtime: stampTS(st.Mtim).time(), Origin: originOf(&st)}
}

// place is a place for tests, and the folder that feeds it.
type testPlace struct {
	t    testing.TB
	c    *Cache
	f    *Feed
	b    *bucket
	root string
	Place
}

func newTestPlace(t testing.TB, c *Cache) *testPlace {
	t.Helper()
	root := t.TempDir()
	c.SetDevice(testDevice)
	p, err := c.AddPlace("Music", Place{Root: root}, lstat(t, root))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := c.opt.Fetcher.(*bucket)
	return &testPlace{t, c, c.Feed(p), b, root, p}
}

func (p *testPlace) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *testPlace) path(name string) string { return filepath.Join(p.root, name) }

// write changes a file outside; its times differ from what it had.
func (p *testPlace) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(p.path(name), old, old); err != nil {
		p.t.Fatal(err)
	}
}

func (p *testPlace) add(name, text string) Ino {
	p.t.Helper()
	p.write(name, text)
	ino, err := p.f.Add(p.Dir, name, lstat(p.t, p.path(name)))
	if err != nil {
		p.t.Fatal(err)
	}
	return ino
}

func contentOf(c *Cache, ino Ino) (string, error) {
	h, err := c.OpenFile(ino, OpenFlags{Read: true})
	if err != nil {
		return "", err
	}
	defer h.Release()
	a, err := c.Attr(ino)
	if err != nil {
		return "", err
	}
	p := make([]byte, a.Size+1)
	n, err := h.ReadAt(context.Background(), p, 0)
	return string(p[:n]), err
}

// TestFed: what a feed takes in is read from outside, as long as that is what was
// taken in, and nobody else may change it.
func TestFed(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	p := newTestPlace(t, c)
	ino := p.add("a.mp3", "hello")
	if got, err := contentOf(c, ino); err != nil || got != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
	ready, _, err := c.Uncut(time.Hour, 0, 100)
	if err != nil || len(ready) != 1 || ready[0] != ino {
		t.Fatalf("ready %v, %v", ready, err)
	}
	s, err := c.Snapshot(ino)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := s.ReadAt(b, 0); err != nil || !bytes.Equal(b, []byte("hello")) {
		t.Fatalf("%q, %v", b, err)
	}
	s.Close()
	s.Label = []byte("label")
	if err := s.SetRecipe(Recipe{Size: 5, Parts: []Part{{Kind: "data", Size: 5, Blobs: []Blob{{Size: 5}}}}, Runs: []Run{{Length: 5}}}); err != nil {
		t.Fatal(err)
	}
	if l, err := c.Label(ino); err != nil || string(l) != "label" {
		t.Errorf("label %q, %v", l, err)
	}
	p.write("a.mp3", "other")
	if err := p.f.Update(ino, lstat(t, p.path("a.mp3")), true); err != nil {
		t.Fatal(err)
	}
	if got, err := contentOf(c, ino); err != nil || got != "other" {
		t.Fatalf("%q, %v", got, err)
	}
	p.write("a.mp3", "stale")
	if _, err := contentOf(c, ino); !errors.Is(err, ErrUnavailable) {
		t.Errorf("reading what was changed outside: %v", err)
	}
	if _, err := c.Snapshot(ino); !errors.Is(err, ErrStale) {
		t.Errorf("snapshot: %v", err)
	}
	if st := c.Stale(); len(st) != 1 || st[0] != ino {
		t.Errorf("stale %v", st)
	}
}

// TestFifoOutside: a fifo in the place of a file holds nobody up.
func TestFifoOutside(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	p := newTestPlace(t, c)
	ino := p.add("a", "hello")
	if err := os.Remove(p.path("a")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(p.path("a"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Snapshot(ino); !errors.Is(err, ErrStale) {
		t.Errorf("snapshot: %v", err)
	}
}

// cut cuts a file as data of one blob, which owes or is known.
func (p *testPlace) cut(ino Ino, owes bool) {
	p.t.Helper()
	s, err := p.c.Snapshot(ino)
	if err != nil {
		p.t.Fatal(err)
	}
	text := make([]byte, s.Size)
	if _, err := s.ReadAt(text, 0); err != nil && len(text) > 0 {
		p.t.Fatal(err)
	}
	s.Close()
	r := Recipe{Size: s.Size, Parts: []Part{{Kind: "data", Size: s.Size, Owed: owes}}, Runs: []Run{{Length: s.Size}}}
	if !owes {
		r.Parts[0] = p.b.store("data", text)
	}
	if err := s.SetRecipe(r); err != nil {
		p.t.Fatal(err)
	}
}

// commit takes everything that can be committed as committed.
func (p *testPlace) commit() *Batch {
	p.t.Helper()
	b, _, err := p.c.Pending(1000)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.c.Committed(b, testDevice+":1"); err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *testPlace) mustRead(ino Ino, want string) {
	p.t.Helper()
	if got, err := contentOf(p.c, ino); err != nil || got != want {
		p.t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func (p *testPlace) mustIdle(idle, settled bool) {
	p.t.Helper()
	i, err := p.c.Idle()
	s, err2 := p.c.Settled()
	if err := errors.Join(err, err2); err != nil || i != idle || s != settled {
		p.t.Errorf("idle %v, settled %v, %v; want %v, %v", i, s, err, idle, settled)
	}
}

// TestStale: a file that changed outside, or went, holds up nothing else, and is
// recovered from wherever it was when it happened.
func TestStale(t *testing.T) {
	for _, state := range []string{"never cut", "committed", "dirty again", "owing", "owing again"} {
		for _, end := range []string{"update", "remove"} {
			t.Run(state+", "+end, func(t *testing.T) {
				c := openCache(t, t.TempDir(), newBucket())
				defer c.Close()
				p := newTestPlace(t, c)
				ino := p.add("a", "first")
				if state != "never cut" {
					p.cut(ino, state == "owing")
					p.commit()
				}
				if state == "dirty again" || state == "owing again" {
					p.write("a", "other")
					p.must(p.f.Update(ino, lstat(t, p.path("a")), true))
				}
				if state == "owing again" {
					p.cut(ino, true)
					p.commit()
				}
				p.must(os.Remove(p.path("a")))
				if state == "committed" { // the bucket has it
					p.mustRead(ino, "first")
					p.mustIdle(true, true)
				} else {
					if _, err := contentOf(c, ino); !errors.Is(err, ErrUnavailable) {
						t.Errorf("reading what is nowhere: %v", err)
					}
					if _, err := c.Snapshot(ino); !errors.Is(err, ErrStale) {
						t.Errorf("snapshot: %v", err)
					}
					p.commit()
					dirty := state == "never cut" || state == "dirty again"
					p.mustIdle(true, !dirty)
					if w, _, err := c.Uncut(0, 0, 100); err != nil || len(w) > 0 {
						t.Errorf("to be cut: %v, %v", w, err)
					}
					if w, err := c.Owed(); err != nil || len(w) > 0 {
						t.Errorf("owed: %v, %v", w, err)
					}
				}
				// Another file is not held up, and neither is a removal.
				other, gone := p.add("b", "other"), p.add("c", "gone")
				p.cut(other, false)
				p.cut(gone, false)
				p.commit()
				p.must(p.f.Remove(p.Dir, "c"))
				told := map[Ino]bool{}
				for _, r := range p.commit().Rows {
					told[r.Ino] = r.Gone
				}
				if !told[gone] {
					t.Error("the bucket does not hear of a removal")
				}
				if end == "remove" {
					p.must(p.f.Remove(p.Dir, "a"))
				} else {
					p.write("a", "again")
					p.must(p.f.Update(ino, lstat(t, p.path("a")), true))
					p.mustRead(ino, "again")
					p.mustIdle(false, false)
					p.cut(ino, false)
					p.mustRead(ino, "again")
				}
				p.commit()
				p.mustIdle(true, true)
				if st := c.Stale(); len(st) > 0 {
					t.Errorf("stale: %v", st)
				}
			})
		}
	}
}

// TestStaleWhileRead: what changed between the first byte read and the last is
// never accepted, whether it is noticed before the cut is closed or after.
func TestStaleWhileRead(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	defer c.Close()
	p := newTestPlace(t, c)
	for _, grow := range []string{"", "and more"} {
		ino := p.add("a"+grow, "first")
		for _, closed := range []bool{false, true} {
			s, err := c.Snapshot(ino)
			if err != nil {
				t.Fatal(err)
			}
			p.write("a"+grow, "FIRST"+grow)
			if closed {
				s.Close()
			}
			if err := s.SetRecipe(Recipe{Size: 5, Parts: []Part{{Kind: "data", Size: 5, Owed: true}}, Runs: []Run{{Length: 5}}}); !errors.Is(err, ErrStale) {
				t.Errorf("a cut of what changed: %v", err)
			}
			s.Close()
			p.must(p.f.Update(ino, lstat(t, p.path("a"+grow)), false)) // times tell that it is another
		}
	}
	// A new tick of the clock is waited for.
	name := p.path("now")
	p.must(os.WriteFile(name, []byte("first"), 0o644))
	ino, err := p.f.Add(p.Dir, "now", lstat(t, name))
	p.must(err)
	s, err := c.Snapshot(ino)
	p.must(err)
	p.must(os.WriteFile(name, []byte("FIRST"), 0o644))
	s.Close()
	if err := s.SetRecipe(Recipe{Size: 5}); !errors.Is(err, ErrStale) {
		t.Errorf("a cut of what changed just after it was made: %v", err)
	}
}

// TestDetach: what the bucket has not got is taken in; what is nowhere keeps the
// place from being detached.
func TestDetach(t *testing.T) {
	dir := t.TempDir()
	b := newBucket()
	c := openCache(t, dir, b)
	defer func() { c.Close() }()
	p := newTestPlace(t, c)
	safe, owes, dirty := p.add("safe", "one"), p.add("owes", "two"), p.add("dirty", "three")
	p.add("lost", "four")
	p.cut(safe, false)
	p.cut(owes, true)
	p.commit()
	p.must(os.Remove(p.path("safe")))
	p.must(os.Remove(p.path("lost")))
	if err := c.Detach(p.Dir); !errors.Is(err, ErrStale) {
		t.Fatalf("detaching what is nowhere: %v", err)
	}
	if places, err := c.Places(); err != nil || len(places) != 1 {
		t.Fatalf("places %v, %v", places, err)
	}
	p.must(p.f.Remove(p.Dir, "lost"))
	p.must(c.Detach(p.Dir))
	p.must(os.RemoveAll(p.root))
	for ino, want := range map[Ino]string{safe: "one", owes: "two", dirty: "three"} {
		p.mustRead(ino, want)
	}
	if places, err := c.Places(); err != nil || len(places) != 0 {
		t.Errorf("places %v, %v", places, err)
	}
	if inos, err := c.keys(bSource); err != nil || len(inos) != 0 {
		t.Errorf("rows of sources are left: %v, %v", inos, err)
	}
	h, err := c.OpenFile(dirty, OpenFlags{Write: true})
	p.must(err)
	_, err = h.WriteAt([]byte("T"), 0)
	p.must(errors.Join(err, h.Release(), c.Unlink(p.Dir, "safe")))
	p.must(c.Sync())
	c2 := openCache(t, crash(t, dir), b)
	defer c2.Close()
	p.c = c2
	p.mustRead(dirty, "Three")
	p.mustRead(owes, "two")
	for _, ino := range []Ino{dirty, owes} {
		s, err := c2.Snapshot(ino)
		if err != nil {
			t.Fatalf("snapshot after detaching: %v", err)
		}
		s.Close()
	}
}

// TestFeedWrite: a generated file is one of the cache, replaced whole, and gone with
// its content.
func TestFeedWrite(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	defer c.Close()
	p := newTestPlace(t, c)
	at := time.Unix(1_500_000_000, 0)
	one, err := p.f.Write(p.Dir, "list.m3u", []byte("one"), at)
	p.must(err)
	p.mustRead(one, "one")
	p.cut(one, false)
	p.commit()
	again, err := p.f.Write(p.Dir, "list.m3u", []byte("two"), at)
	if err != nil || again != one {
		t.Errorf("the same size and time: %v, %v", again, err)
	}
	two, err := p.f.Write(p.Dir, "list.m3u", []byte("two"), at.Add(time.Hour))
	p.must(err)
	p.mustRead(two, "two")
	list, err := c.FedDir(p.Dir)
	if err != nil || len(list) != 1 || !list[0].Made || list[0].Ino != two {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := c.OpenFile(two, OpenFlags{Write: true}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("writing: %v", err)
	}
	if a, err := c.Attr(two); err != nil || !a.Mtime.Equal(at.Add(time.Hour)) {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := c.Attr(one); !errors.Is(err, ErrNotExist) {
		t.Errorf("what was replaced: %v", err)
	}
	p.must(p.f.Remove(p.Dir, "list.m3u"))
	p.must(c.Sync())
	if _, err := os.Lstat(c.contentPath(two)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its content: %v", err)
	}
}

// TestFedLinks: hard links are one file, which is found by whatever name is left.
func TestFedLinks(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	defer c.Close()
	p := newTestPlace(t, c)
	ino := p.add("a", "text")
	p.must(os.Link(p.path("a"), p.path("b")))
	p.must(p.f.Link(ino, p.Dir, "b"))
	p.must(p.f.Update(ino, lstat(t, p.path("a")), false))
	p.must(os.Remove(p.path("a")))
	p.must(p.f.Remove(p.Dir, "a"))
	p.must(p.f.Update(ino, lstat(t, p.path("b")), false))
	p.mustRead(ino, "text")
	p.must(os.Rename(p.path("b"), p.path("c")))
	p.must(p.f.Move(p.Dir, "b", p.Dir, "c"))
	p.must(p.f.Update(ino, lstat(t, p.path("c")), false))
	p.mustRead(ino, "text")
	p.cut(ino, false)
	if a, err := c.Attr(ino); err != nil || a.Nlink != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestFedLinkLost: a file is read by another of its names if the folder has the
// first no more, or another file of it, while the place keeps it.
func TestFedLinkLost(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	defer c.Close()
	p := newTestPlace(t, c)
	ino := p.add("a", "text")
	p.must(os.Link(p.path("a"), p.path("b")))
	p.must(p.f.Link(ino, p.Dir, "b"))
	p.must(os.Remove(p.path("a")))
	p.must(p.f.Update(ino, lstat(t, p.path("b")), false))
	p.mustRead(ino, "text")
	p.write("a", "other")
	p.mustRead(ino, "text")
	p.cut(ino, false)
	p.commit()
	p.mustIdle(true, true)
}

// TestFedReadsFollow: who has a file open while it is fed anew reads what it is now,
// and nothing fetched before shows up in it.
func TestFedReadsFollow(t *testing.T) {
	b := newBucket()
	c := openCache(t, t.TempDir(), b)
	defer c.Close()
	p := newTestPlace(t, c)
	ino := p.add("a", "first of all")
	h, err := c.OpenFile(ino, OpenFlags{Read: true})
	p.must(err)
	defer h.Release()
	read := func() string {
		t.Helper()
		buf := make([]byte, 100)
		n, err := h.ReadAt(context.Background(), buf, 0)
		p.must(err)
		return string(buf[:n])
	}
	for i, want := range []string{"first of all", "2nd", "the third, which is longer"} {
		if i > 0 {
			p.write("a", want)
			p.must(p.f.Update(ino, lstat(t, p.path("a")), true))
		}
		if got := read(); got != want {
			t.Errorf("from outside: %q, want %q", got, want)
		}
		p.cut(ino, false)
		p.must(os.Remove(p.path("a")))
		if got := read(); got != want {
			t.Errorf("from the bucket: %q, want %q", got, want)
		}
	}
	p.must(c.Sync())
	if fd, ok := h.Passthrough(); ok {
		t.Errorf("the kernel has descriptor %d of it", fd)
	}
}

// TestLinksOutsideAreNotFollowed: neither a link in the place of the file, nor of a
// folder above, nor one out of the root, with openat2(2) and without.
func TestLinksOutsideAreNotFollowed(t *testing.T) {
	root, other := t.TempDir(), t.TempDir()
	for _, d := range []string{root, other} {
		if err := os.MkdirAll(filepath.Join(d, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "d/f"), []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link": other + "/d/f", "dirlink": other + "/d", "inside": "d"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	for name, open := range map[string]func(int, string, int) (int, error){"openat2": openAtBeneath, "stepwise": openStepwise} {
		for _, rel := range []string{"link", "dirlink/f", "inside/f", "../" + filepath.Base(other) + "/d/f"} {
			if fd, err := open(dir, rel, unix.O_RDONLY|unix.O_NONBLOCK); err == nil {
				unix.Close(fd)
				t.Errorf("%s: %s was followed", name, rel)
			}
		}
		fd, err := open(dir, "d/f", unix.O_RDONLY|unix.O_NONBLOCK)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		unix.Close(fd)
	}
}

// TestLabelGoesWithItsFile: and so does the source.
func TestLabelGoesWithItsFile(t *testing.T) {
	c := openCache(t, t.TempDir(), newBucket())
	defer c.Close()
	p := newTestPlace(t, c)
	ino := p.add("a", "text")
	s, err := c.Snapshot(ino)
	p.must(err)
	s.Close()
	s.Label = []byte("label")
	p.must(s.SetRecipe(Recipe{Size: 4, Parts: []Part{{Kind: "data", Size: 4, Owed: true}}, Runs: []Run{{Length: 4}}}))
	p.must(p.f.Remove(p.Dir, "a"))
	if l, err := c.Label(ino); err != nil || l != nil {
		t.Errorf("label %q, %v", l, err)
	}
	if _, ok, err := c.source(ino); ok || err != nil {
		t.Errorf("its source is there, %v", err)
	}
}

// BenchmarkFedDir lists a place of 23,000 files in folders of 23; the figure is that
// of one name.
func BenchmarkFedDir(b *testing.B) {
	c := openCache(b, b.TempDir(), nil)
	defer c.Close()
	p := newTestPlace(b, c)
	p.write("a", "text")
	file, folder := lstat(b, p.path("a")), lstat(b, p.root)
	const folders, files = 1000, 23
	for i := range folders {
		dir, err := p.f.Add(p.Dir, fmt.Sprintf("artist %d", i), folder)
		p.must(err)
		for k := range files {
			_, err := p.f.Add(dir, fmt.Sprintf("%02d a title of common length.mp3", k), file)
			p.must(err)
		}
	}
	p.must(c.db.Flush())
	for b.Loop() {
		n := 0
		p.must(c.EachFed(p.Dir, func(string, FedEntry) error { n++; return nil }))
		if n != folders*(files+1) {
			b.Fatalf("%d names", n)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(folders*(files+1)), "ns/name")
}
