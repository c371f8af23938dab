package library_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/itunes/itunestest"
	"github.com/tunesafe/tunesafe/sync/library"
)

// rig is a cache with a place, and the folder that feeds it.
type rig struct {
	*testing.T
	c    *cache.Cache
	root string
	cache.Place
}

func newRig(t *testing.T) *rig {
	c, err := cache.Open(t.TempDir(), cache.Options{InoBase: 7 << 32, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDevice("00112233445566aa")
	r := &rig{T: t, c: c, root: t.TempDir()}
	if r.Place, err = c.AddPlace("Music", cache.Place{Root: r.root}, r.outside(r.root)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) outside(path string) cache.Outside {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		r.Fatal(err)
	}
	return cache.Outside{Mode: st.Mode, Mtime: time.Unix(st.Mtim.Unix()), Origin: cache.Origin{
		Dev: st.Dev, Ino: st.Ino, Size: st.Size, Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix())}}
}

// put writes a file of the folder, an hour ago, and feeds it.
func (r *rig) put(name string, data []byte) {
	p := filepath.Join(r.root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o644); err != nil {
		r.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(p, old, old.Add(time.Duration(len(data)))); err != nil {
		r.Fatal(err)
	}
	f, dir, at := r.c.Feed(r.Place), r.Dir, r.root
	elems := strings.Split(name, "/")
	for i, e := range elems {
		at = filepath.Join(at, e)
		a, err := r.c.Lookup(dir, e)
		switch {
		case err != nil:
			a.Ino, err = f.Add(dir, e, r.outside(at))
		case i == len(elems)-1:
			err = f.Update(a.Ino, r.outside(at), true)
		}
		if err != nil {
			r.Fatal(err)
		}
		dir = a.Ino
	}
}

func (r *rig) putLibrary(l *itunestest.Tracks) {
	var b bytes.Buffer
	l.Write(&b)
	r.put("iTunes Library.xml", b.Bytes())
}

func (r *rig) update(changed bool) library.Library {
	r.Helper()
	l, err := library.Update(context.Background(), r.c, r.Place, changed)
	if err != nil || len(l) != 1 {
		r.Fatalf("%d libraries, %v", len(l), err)
	}
	return l[0]
}

// made lists what was made in the place, with the inode of each file.
func (r *rig) made() map[string]cache.Ino {
	m := map[string]cache.Ino{}
	err := r.c.EachFed(r.Dir, func(p string, e cache.FedEntry) error {
		if e.Made && fs.FileMode(e.Mode)&0o170000 != 0o040000 {
			m[p] = e.Ino
		}
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
	return m
}

func (r *rig) text(ino cache.Ino) string {
	h, err := r.c.OpenFile(ino, cache.OpenFlags{Read: true})
	if err != nil {
		r.Fatal(err)
	}
	defer h.Release()
	b := make([]byte, 64<<10)
	n, err := h.ReadAt(context.Background(), b, 0)
	if err != nil {
		r.Fatal(err)
	}
	return string(b[:n])
}

// TestPlaylists writes playlists beside the music, leaves alone what is the same,
// and takes away what is gone.
func TestPlaylists(t *testing.T) {
	r := newRig(t)
	lib := itunestest.Library(20)
	for _, x := range lib.Tracks {
		r.put("Music/"+x.Location, []byte("sound"))
	}
	r.putLibrary(lib)
	l := r.update(true)
	if l.Survey.Here != 20 || l.Survey.Missing != 0 || len(l.Lists) != 3 || l.Late != "" {
		t.Fatalf("%+v", l)
	}
	const sunday, rated, purchased = "Playlists (iTunes)/Moods/Sunday_Evening.m3u8", "Playlists (iTunes)/My Top Rated.m3u8", "Playlists (iTunes)/Purchased.m3u8"
	first := r.made()
	if len(first) != 3 || first[sunday] == 0 || first[rated] == 0 || first[purchased] == 0 {
		t.Fatalf("made %v", first)
	}
	if got := r.text(first[sunday]); !strings.Contains(got, "\n../../Music/"+lib.Tracks[7].Location+"\n") {
		t.Errorf("%s", got)
	}

	// A library that did not change is not read, and one that changed in something
	// else rewrites no list.
	if r.update(false); len(r.made()) != 3 {
		t.Errorf("made %v", r.made())
	}
	lib.Tracks[3].Plays += 100
	lib.Lists[5].Items = lib.Lists[5].Items[1:]
	r.putLibrary(lib)
	if l := r.update(false); l.Survey.Plays < 100 {
		t.Errorf("%+v", l.Survey)
	}
	second := r.made()
	if second[sunday] != first[sunday] || second[purchased] != first[purchased] || second[rated] == first[rated] {
		t.Errorf("made %v, then %v", first, second)
	}

	// The folder changed: a track is gone, and so is its line.
	if err := os.Remove(filepath.Join(r.root, "Music", lib.Tracks[7].Location)); err != nil {
		t.Fatal(err)
	}
	if l := r.update(true); l.Survey.Missing != 1 || strings.Contains(r.text(r.made()[sunday]), "Track 7") {
		t.Errorf("%+v\n%s", l.Survey, r.text(r.made()[sunday]))
	}

	// Caught half written: what was known stays.
	whole, err := os.ReadFile(filepath.Join(r.root, "iTunes Library.xml"))
	if err != nil {
		t.Fatal(err)
	}
	r.put("iTunes Library.xml", whole[:len(whole)/2])
	if l := r.update(false); l.Late == "" || l.Survey.Tracks != 20 || len(r.made()) != 3 {
		t.Errorf("%+v", l)
	}
	lib.Lists = lib.Lists[:3]
	r.putLibrary(lib)
	now := time.Now()
	if err := os.Chtimes(filepath.Join(r.root, "iTunes Library.xml"), now, now); err != nil {
		t.Fatal(err)
	}
	if l := r.update(false); l.Late == "" || len(r.made()) != 3 {
		t.Errorf("changed a moment ago: %+v", l)
	}

	// Playlists that are gone, and with the last of them their folder.
	r.putLibrary(lib)
	if l := r.update(false); l.Late != "" || len(r.made()) != 1 || r.made()[purchased] == 0 {
		t.Errorf("%+v, made %v", l, r.made())
	}
	lib.Lists = nil
	r.putLibrary(lib)
	r.update(false)
	if _, err := r.c.Lookup(r.Dir, "Playlists (iTunes)"); err == nil || len(r.made()) != 0 {
		t.Errorf("made %v", r.made())
	}
}

// TestNameTaken leaves a folder of the same name alone.
func TestNameTaken(t *testing.T) {
	r := newRig(t)
	lib := itunestest.Library(20)
	for _, x := range lib.Tracks {
		r.put(x.Location, []byte("sound"))
	}
	r.put("Playlists (iTunes)/My Top Rated.m3u8", []byte("my own"))
	r.putLibrary(lib)
	r.update(true)
	if m := r.made(); len(m) != 3 || m["Playlists (iTunes) 2/My Top Rated.m3u8"] == 0 {
		t.Errorf("made %v", m)
	}
}

// TestUnchangedIsNotRead puts other bytes under the size and time that are known:
// they are not seen.
func TestUnchangedIsNotRead(t *testing.T) {
	r := newRig(t)
	r.putLibrary(itunestest.Library(20))
	before := r.update(true)
	p := filepath.Join(r.root, "iTunes Library.xml")
	info, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(p, make([]byte, info.Size()), 0o644), os.Chtimes(p, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if now := r.update(false); now.Survey.Tracks != before.Survey.Tracks || now.Late != "" {
		t.Errorf("the library was read again: %d tracks, %d before; %s", now.Survey.Tracks, before.Survey.Tracks, now.Late)
	}
	if now := r.update(true); now.Late == "" && !now.Survey.Truncated {
		t.Error("and is not read when the folder changed")
	}
}
