package browse

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"net/http"

	"go.uber.org/goleak"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/catalog"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	tsync "github.com/tunesafe/tunesafe/sync"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sounds counts what is asked of objects of sound.
type sounds struct {
	store.Store
	asked, bytes atomic.Int64
}

func (s *sounds) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if strings.HasPrefix(key, "audio/") {
		s.asked.Add(1)
		s.bytes.Add(n)
	}
	return s.Store.Get(ctx, key, off, n)
}

// world is a bucket, of which homes are made.
type world struct {
	t    *testing.T
	st   *sounds
	keys *repo.Keys
	root []byte
}

func newWorld(t *testing.T) *world {
	m := mem.New()
	id, err := repo.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, root, err := repo.Create(t.Context(), m, id)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, st: &sounds{Store: m}, keys: keys, root: root}
}

type device struct {
	t     *testing.T
	cache *cache.Cache
	w     *tsync.Worker
}

// device is a home made anew of the bucket.
func (w *world) device(name string) *device {
	t, dir := w.t, w.t.TempDir()
	dev, err := repo.Enrol(t.Context(), w.st, w.keys, w.root, name)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	index, err := repo.OpenIndex(filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	reader := repo.NewReader(w.st, w.keys, index, filepath.Join(dir, "packs"), repo.ReaderOptions{})
	base := func(d *repo.Device) uint64 { return uint64(d.ID[0])<<56 | uint64(d.ID[1])<<48 | uint64(d.ID[2])<<40 }
	c, err := cache.Open(dir, cache.Options{Fetcher: tsync.NewFetcher(reader), InoBase: base(dev), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	d := &device{t: t, cache: c}
	d.w = tsync.New(tsync.Options{Cache: c, Store: w.st, Keys: w.keys, Device: dev, Index: index, Reader: reader, Dir: dir,
		Kept: repo.OpenKept(filepath.Join(dir, "kept")), InoBase: base, Log: log, Settle: 10 * time.Millisecond})
	if _, err := d.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); d.w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		reader.Close()
		if err := errors.Join(c.Close(), index.Close()); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *device) mkdir(name string) cache.Ino {
	d.t.Helper()
	a, err := d.cache.Mkdir(cache.Root, name, 0o755, cache.Owner{})
	if err != nil {
		d.t.Fatal(err)
	}
	return a.Ino
}

func (d *device) write(dir cache.Ino, name string, p []byte) cache.Ino {
	d.t.Helper()
	var h *cache.Handle
	a, err := d.cache.Lookup(dir, name)
	if err == nil {
		h, err = d.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true, Truncate: true})
	} else {
		a, h, err = d.cache.Create(dir, name, 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := h.WriteAt(p, 0); err != nil {
		d.t.Fatal(err)
	}
	if err := h.Release(); err != nil {
		d.t.Fatal(err)
	}
	return a.Ino
}

func (d *device) wait() {
	d.t.Helper()
	if err := d.w.Wait(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// flac is a track with tags, a picture and sound that nobody has heard.
func flac(seed uint64, art []byte, comments ...string) []byte {
	block := func(kind byte, b []byte) []byte {
		return append([]byte{kind, byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
	}
	out := append([]byte("fLaC"), block(0, make([]byte, 34))...)
	text := binary.LittleEndian.AppendUint32(nil, 0)
	text = binary.LittleEndian.AppendUint32(text, uint32(len(comments)))
	for _, c := range comments {
		text = append(binary.LittleEndian.AppendUint32(text, uint32(len(c))), c...)
	}
	out = append(out, block(4, text)...)
	picture := make([]byte, 32)
	binary.BigEndian.PutUint32(picture[28:], uint32(len(art)))
	out = append(out, block(0x80|6, append(picture, art...))...)
	sound := make([]byte, 60_000)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for i := range sound {
		sound[i] = byte(rnd.Uint32())
	}
	return append(append(out, 0xFF, 0xF8), sound...)
}

// picture is bytes that begin as a JPEG does.
func picture(seed uint64, n int) []byte {
	b := append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00"), make([]byte, n)...)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for i := 11; i < len(b); i++ {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func open(t *testing.T, d *device) *Library {
	l := New(Options{Cache: d.cache})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// read looks until what is seen is as it should be, as tags are read behind.
func read(t *testing.T, l *Library, what string, ok func(*catalog.Catalog) bool) {
	t.Helper()
	for range 2000 {
		good := false
		if err := l.Read(t.Context(), func(c *catalog.Catalog) { good = ok(c) }); err != nil {
			t.Fatal(err)
		}
		if good {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("never seen: " + what)
}

func titles(c *catalog.Catalog) string {
	list, _ := c.Page(0, 1000)
	var out []string
	for _, t := range list {
		out = append(out, t.Title)
	}
	return strings.Join(out, " ")
}

// TestColdLibrary browses, in a home made anew from the bucket, all there is, pictures
// too, without asking for a byte of sound; and then plays some.
func TestColdLibrary(t *testing.T) {
	w := newWorld(t)
	a := w.device("a")
	album := a.mkdir("Album")
	var want []string
	arts := map[string][]byte{}
	for i := range 24 {
		art := picture(uint64(i/12), 40_000) // two pictures, each of twelve tracks
		title := fmt.Sprintf("Title%02d", i)
		a.write(album, fmt.Sprintf("%02d.flac", i+1), flac(uint64(i), art, "TITLE="+title, "ARTIST=The A", "ALBUM=X",
			fmt.Sprint("TRACKNUMBER=", i+1)))
		want, arts[title] = append(want, title), art
	}
	front := picture(9, 50_000)
	a.write(album, "cover.jpg", front)
	a.write(album, "notes.txt", []byte("no music"))
	ogg, err := os.ReadFile("../../internal/split/testdata/small/cover.ogg")
	if err != nil {
		t.Fatal(err)
	}
	a.write(a.mkdir("Other"), "cover.ogg", ogg)
	a.wait()

	b := w.device("b")
	w.st.asked.Store(0)
	l := open(t, b)
	read(t, l, "the names", func(c *catalog.Catalog) bool { return c.Tracks() == 25 })
	all := strings.Join(want, " ")
	read(t, l, "the tags", func(c *catalog.Catalog) bool { return strings.Contains(titles(c), all) })
	read(t, l, "all tags", func(c *catalog.Catalog) bool { return c.Unread() == 0 })
	var tracks []catalog.Track
	read(t, l, "the tracks", func(c *catalog.Catalog) bool {
		tracks, _ = c.Page(0, 100)
		return len(tracks) == 25
	})
	for _, track := range tracks {
		p, err := l.Picture(t.Context(), track.Inode)
		if err != nil {
			t.Fatal(track.Path, err)
		}
		got, err := p.Bytes()
		if art := arts[track.Title]; err != nil || art != nil && !bytes.Equal(got, art) {
			t.Errorf("%s has another picture: %v", track.Path, err)
		}
		if kind := http.DetectContentType(got); !strings.HasPrefix(kind, "image/") {
			t.Errorf("%s has a picture that is %s", track.Path, kind)
		}
	}
	if n := w.st.asked.Load(); n != 0 {
		t.Errorf("browsing asked %d times for sound", n)
	}
	kept, err := b.cache.Label(tracks[0].Inode)
	if err != nil || kept == nil {
		t.Error("what was read is not kept:", err)
	}

	// Playing from the middle brings what is asked for, and not all of it.
	f, err := l.Open(t.Context(), tracks[0].Inode)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	whole := flac(0, picture(0, 40_000), "TITLE=Title00", "ARTIST=The A", "ALBUM=X", "TRACKNUMBER=1")
	r := httptest.NewRequest("GET", "/media", nil)
	r.Header.Set("Range", "bytes=70000-70999")
	rec := httptest.NewRecorder()
	http.ServeContent(rec, r, "", time.Time{}, f)
	if rec.Code != http.StatusPartialContent || !bytes.Equal(rec.Body.Bytes(), whole[70000:71000]) {
		t.Errorf("%d, %d bytes", rec.Code, rec.Body.Len())
	}
	if n := w.st.asked.Load(); n != 1 {
		t.Errorf("a range of a track took %d requests for sound", n)
	}
}

// TestFollows sees what changes on the drive without looking at the rest of it.
func TestFollows(t *testing.T) {
	a := newWorld(t).device("a")
	x := a.mkdir("X")
	tags := func(title string) []byte { return flac(1, nil, "TITLE="+title, "ARTIST=A", "ALBUM=X") }
	one := a.write(x, "1.flac", tags("one"))
	a.write(x, "2.flac", tags("two"))
	a.wait()
	l := open(t, a)
	see := func(want string) {
		t.Helper()
		read(t, l, want, func(c *catalog.Catalog) bool { return titles(c) == want })
	}
	see("one two")
	made := l.made
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a.write(x, "1.flac", tags("uno"))
	see("uno two")
	three := a.write(x, "3.flac", tags("three"))
	see("uno two three")
	a.wait()
	y := a.mkdir("Y")
	must(a.cache.Rename(x, "3.flac", y, "0.flac", cache.RenameFlags{}))
	must(a.cache.Rename(cache.Root, "Y", cache.Root, "Z", cache.RenameFlags{}))
	read(t, l, "the new place", func(c *catalog.Catalog) bool { track, _ := c.Track(three); return track.Path == "Z/0.flac" })
	a.write(x, "new.flac", tags("deux"))
	must(a.cache.Rename(x, "new.flac", x, "2.flac", cache.RenameFlags{})) // as taggers do
	see("three uno deux")
	must(a.cache.Unlink(x, "1.flac"))
	see("three deux")
	a.write(x, "4.txt", []byte("no music"))
	a.wait()
	see("three deux")
	if l.made != made {
		t.Error("the catalog was made anew")
	}
	if _, err := l.Picture(t.Context(), one); err == nil {
		t.Error("a track that is gone has a picture")
	}
	_, err := a.cache.Link(three, x, "again.flac")
	must(err)
	must(a.cache.Unlink(y, "0.flac"))
	read(t, l, "the other name", func(c *catalog.Catalog) bool { track, _ := c.Track(three); return track.Path == "X/again.flac" })
}

// TestIdle drops the catalog when nobody looks, and makes it again.
func TestIdle(t *testing.T) {
	a := newWorld(t).device("a")
	a.write(cache.Root, "1.flac", flac(1, nil, "TITLE=one"))
	a.wait()
	l := New(Options{Cache: a.cache, Idle: time.Millisecond})
	defer l.Close()
	read(t, l, "one", func(c *catalog.Catalog) bool { return titles(c) == "one" })
	for {
		l.mu.RLock()
		gone := l.catalog == nil && l.watch == nil
		l.mu.RUnlock()
		if gone {
			break
		}
		time.Sleep(time.Millisecond)
	}
	read(t, l, "one", func(c *catalog.Catalog) bool { return titles(c) == "one" })
}

func TestUnwrap(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("A"), []byte("AAAA"), []byte("AAAAAAAAAAAA"), []byte("AAAAA////w=="), picture(1, 100)} {
		if got := label.Picture(b); len(got) > len(b) {
			t.Errorf("%q: %q", b, got)
		}
	}
}
