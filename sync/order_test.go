package sync

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// holdSound is a device whose uploads of sound wait until release.
func holdSound(t *testing.T, w *world) (d *device, f *faulty, release func()) {
	t.Helper()
	f = &faulty{Store: w.mem}
	hold := make(chan struct{})
	f.before = func(key string) error {
		if strings.HasPrefix(key, "audio/") {
			<-hold
		}
		return nil
	}
	d = w.device("one")
	d.close()
	d.settle = 5 * time.Second // so that all are seen together
	d.open(f)
	done := false
	release = func() {
		if !done {
			close(hold)
		}
		done = true
	}
	t.Cleanup(release) // before the device is closed
	return d, f, release
}

func (f *faulty) await(t *testing.T, prefix string, n int) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); f.count(prefix) < n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d uploads below %s, want %d", f.count(prefix), prefix, n)
		}
	}
}

// TestLibraryGoesBeforeSound: playlists and the databases of players are labour.
// They are in the bucket, whole, before any sound.
func TestLibraryGoesBeforeSound(t *testing.T) {
	tools.StepByStep(t)
	w := newWorld(t)
	d, f, release := holdSound(t, w)
	rnd := rand.New(rand.NewPCG(21, 21))
	noise := wav(rnd, 900_000)[44:]
	files := map[string][]byte{
		"iTunes Library.xml": append([]byte("<?xml version=\"1.0\"?>\n<plist version=\"1.0\">\n<dict>\n"), bytes.Repeat([]byte("<key>Play Count</key>"), 40_000)...),
		"iTunes Library.itl": append([]byte("hdfm"), noise...),
		"Library.musicdb":    append([]byte("hfma"), noise...),
		"all.m3u":            bytes.Repeat([]byte("Artist/Album/01 Title.mp3\r\n"), 30_000),
		"rip.log":            append([]byte("\xff\xfe"), bytes.Repeat([]byte("E\x00A\x00C\x00"), 90_000)...),
	}
	first := len(files)
	for i := range 9 {
		files[fmt.Sprintf("%d.wav", i)] = wav(rnd, 8<<20)
	}
	files["image.img"] = append(make([]byte, 600_000), noise...)
	for n, p := range files {
		d.write(n, p)
	}
	f.await(t, "log/", 1)
	cold := w.device("cold")
	safe := 0
	for n, p := range files {
		a, err := Resolve(cold.cache, n)
		if err != nil {
			t.Fatal(err)
		}
		h, err := cold.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, a.Size)
		if _, err := h.ReadAt(context.Background(), got, 0); err == nil && bytes.Equal(got, p) {
			safe++
		} else if !strings.HasSuffix(n, ".wav") && n != "image.img" {
			t.Errorf("%s is not in the bucket while sound waits: %v", n, err)
		}
		h.Release()
	}
	if safe != first {
		t.Errorf("%d files are safe before any sound, want %d", safe, first)
	}
	cold.close()
	release()
	d.wait()
	w.sameAs(files)
}

// TestKnownSoundIsOneCommit: what the bucket has already is never committed as
// owed, however much it is: a retag by a tagger that writes a new file and renames
// it over the old, and a copy of an album.
func TestKnownSoundIsOneCommit(t *testing.T) {
	tools.StepByStep(t)
	w := newWorld(t)
	f := &faulty{Store: w.mem}
	d := w.device("one")
	d.close()
	d.settle = time.Minute // so that all are seen together: to wait ends it
	d.open(f)
	rnd := rand.New(rand.NewPCG(22, 22))
	files := map[string][]byte{}
	for i := range 9 {
		files[fmt.Sprintf("%d.wav", i)] = track(wav(rnd, 9<<20)[44:], "untitled")
	}
	for n, p := range files {
		d.write(n, p)
	}
	d.wait()
	puts := func(change func()) (logs, packs, sound int) {
		logs, sound = f.count("log/"), f.count("audio/")
		all := f.count("")
		d.together(change)
		d.wait()
		logs, sound = f.count("log/")-logs, f.count("audio/")-sound
		return logs, f.count("") - all - logs - sound, sound
	}
	for what, change := range map[string]func(){
		"a retag by renaming": func() {
			for i := range 9 {
				n := fmt.Sprintf("%d.wav", i)
				files[n] = track(files[n][44:len(files[n])-16], fmt.Sprintf("title %2d", i))
				d.write("tmp", files[n])
				if err := d.cache.Rename(cache.Root, "tmp", cache.Root, n, cache.RenameFlags{}); err != nil {
					t.Fatal(err)
				}
			}
		},
		"a copy": func() {
			for i := range 9 {
				n := fmt.Sprintf("%d.wav", i)
				files["copy of "+n] = bytes.Clone(files[n])
				d.write("copy of "+n, files["copy of "+n])
			}
		},
	} {
		logs, packs, sound := puts(change)
		t.Logf("figure: %s of 9 tracks: %d commits, %d packs, %d objects of sound", what, logs, packs, sound)
		if logs != 1 || sound != 0 || packs > 1 {
			t.Errorf("%s: %d commits, %d packs, %d objects of sound; want 1, at most 1, none", what, logs, packs, sound)
		}
	}
	w.sameAs(files)
}

// TestBoughtGoesFirst: what was bought, then what nothing is known of, small before
// large, and last what can be ripped again.
func TestBoughtGoesFirst(t *testing.T) {
	w := newWorld(t)
	f := &faulty{Store: w.mem}
	d := w.device("one")
	d.close()
	d.settle, d.transfers = time.Minute, 1
	d.open(f)
	rnd := rand.New(rand.NewPCG(23, 23))
	want := []int{5, 1, 3, 2} // MB of sound, in the order they go
	tracks := map[string][]byte{}
	for i, comment := range map[int]string{0: "purchased at beatport.com", 3: "exact audio copy", 1: "", 2: ""} {
		sound := wav(rnd, want[i]*1_000_000)[44:]
		tracks[fmt.Sprintf("%d.wav", 9-i)] = commented(sound, comment)
	}
	d.together(func() {
		for name, p := range tracks {
			d.write(name, p)
		}
	})
	d.wait()
	var got []int
	for _, key := range f.puts {
		if !strings.HasPrefix(key, "audio/") {
			continue
		}
		info, err := w.mem.Stat(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, int(info.Size+500_000)/1_000_000)
	}
	if !slices.Equal(got, want) {
		t.Errorf("megabytes of sound went in the order %v, want %v", got, want)
	}
}

// commented is a sound file with a comment, if it is not empty.
func commented(sound []byte, comment string) []byte {
	p := track(sound, "untitled")
	if comment == "" {
		return p
	}
	comment += strings.Repeat(" ", len(comment)%2)
	list := binary.LittleEndian.AppendUint32([]byte("LIST"), uint32(12+len(comment)))
	list = binary.LittleEndian.AppendUint32(append(list, "INFOICMT"...), uint32(len(comment)))
	p = append(append(p, list...), comment...)
	binary.LittleEndian.PutUint32(p[4:], uint32(len(p)-8))
	return p
}

// track is a sound file with a title of eight bytes, in a chunk of 16 behind the sound.
func track(sound []byte, title string) []byte {
	p := wav(nil, 0)
	binary.LittleEndian.PutUint32(p[4:], uint32(len(p)-8+len(sound)+16))
	binary.LittleEndian.PutUint32(p[40:], uint32(len(sound)))
	p = append(p, sound...)
	p = append(p, "note\x08\x00\x00\x00"...)
	return append(p, title...)
}

// TestLabourGoesFirstOnAnUnknownLine: a first backup of a few small files is no reason to
// send sound first, as nobody knows yet how slow the line is.
func TestLabourGoesFirstOnAnUnknownLine(t *testing.T) {
	w := newWorld(t)
	d, f, release := holdSound(t, w)
	rnd := rand.New(rand.NewPCG(23, 23))
	files := map[string][]byte{}
	for i := range 3 {
		files[fmt.Sprintf("%d.wav", i)] = wav(rnd, 1<<20)
	}
	for n, p := range files {
		d.write(n, p)
	}
	f.await(t, "log/", 1)
	cold := w.device("cold")
	for n := range files {
		if _, err := Resolve(cold.cache, n); err != nil {
			t.Errorf("%s is not in the bucket while sound waits: %v", n, err)
		}
	}
	cold.close()
	release()
	d.wait()
	w.sameAs(files)
}
