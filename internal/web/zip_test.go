package web

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// shelf is a drive of one folder with files, one of which cannot be read to its end.
type shelf struct {
	Moment
	files  int
	broken int // from 1; 0: none
}

const shelfSize = 100_000

func (s shelf) At(context.Context, time.Time) (Moment, error) { return s, nil }

func (s shelf) Find(path string) (Node, error) {
	if path != "/" {
		return Node{}, ErrNotThere
	}
	return Node{Ino: 1, Kind: Folder}, nil
}

func (s shelf) List(Node) (list []Node, err error) {
	for i := range s.files {
		list = append(list, Node{Ino: uint64(i + 2), Name: fmt.Sprintf("%06d a title of middling length.flac", i), Kind: File, Size: shelfSize, Time: time.Unix(1e9, 0)})
	}
	return list, nil
}

func (s shelf) Key(n Node) (key [16]byte, err error) {
	copy(key[:], fmt.Sprintf("%016d", n.Ino))
	return key, nil
}

func (s shelf) Open(_ context.Context, n Node) (Bytes, error) {
	return book{s.broken == int(n.Ino)-1}, nil
}

type book struct{ broken bool }

var errRot = errors.New("what the store gave is damaged")

func (b book) ReadAt(p []byte, off int64) (int, error) {
	if b.broken && off+int64(len(p)) > shelfSize/2 {
		return 0, errRot
	}
	clear(p)
	return len(p), nil
}

func (book) Close() error { return nil }

// TestBrokenZip: where a file cannot be read the answer breaks off, so that no browser
// takes it for whole; a range behind it does, too.
func TestBrokenZip(t *testing.T) {
	s, _ := serve(t, Options{Past: shelf{files: 3}})
	b := enter(t, s)
	got := b.get("/zip/now/")
	if z, err := zip.NewReader(strings.NewReader(got.text), int64(len(got.text))); err != nil || len(z.File) != 3 || got.ContentLength != int64(len(got.text)) {
		t.Fatalf("the archive of what is whole: %v, %d bytes", err, len(got.text))
	}
	whole := got.ContentLength
	s, _ = serve(t, Options{Past: shelf{files: 3, broken: 2}})
	b = enter(t, s)
	for _, part := range []string{"", "bytes=150000-", fmt.Sprintf("bytes=%d-", whole-250)} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"zip/now/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if part != "" {
			r.Header.Set("Range", part)
		}
		got, err := b.http.Do(r)
		if err != nil {
			continue // not even a beginning came
		}
		n, err := io.Copy(io.Discard, got.Body)
		got.Body.Close()
		if err == nil || n >= got.ContentLength {
			t.Errorf("%q: %d of %d bytes came, and no error", part, n, got.ContentLength)
		}
	}
}

// TestLongZip: the list of 100,000 files is what an archive keeps in memory.
func TestLongZip(t *testing.T) {
	m := shelf{files: 100_000}
	top, _ := m.Find("/")
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before := heap()
	l := packing{ctx: t.Context(), m: m}
	if err := l.add("", top); err != nil {
		t.Fatal(err)
	}
	used := heap() - before
	t.Logf("%d entries take %d kB", len(l.entries), used>>10)
	if len(l.entries) != m.files || used > 60<<20 {
		t.Errorf("%d entries take %d bytes", len(l.entries), used)
	}
	runtime.KeepAlive(&l)
}

// TestFreeFolder: nothing is written over, and nothing where programs look for settings,
// by whatever name the folder is called.
func TestFreeFolder(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"empty", "full/in", ".ssh", "own"} {
		if err := os.MkdirAll(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(at("file"), nil, 0o600), os.Symlink(".ssh", at("innocent")), os.Symlink("own", at("mine"))); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"empty": nil, "new": nil, "new/deep/er": nil, "empty/../new": nil, "full/in/": nil,
		"full": errNotFree, "file": errNoFolder, ".ssh": errHidden, ".config/autostart": errHidden, "innocent": errHidden, "innocent/x": errHidden,
		"own": errOwnHome, "own/sub": errOwnHome, "mine/sub": errOwnHome, "empty/../.ssh": errHidden,
	} {
		if got, err := freeFolder(dir+"/"+name, at("mine")); !errors.Is(err, want) || want == nil && !strings.HasPrefix(got, dir) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := freeFolder("music", ""); !errors.Is(err, errNotAbsolute) {
		t.Error("a relative name:", err)
	}
}
