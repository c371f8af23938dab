package feed

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// readings is a [Reading] in memory.
type readings map[uint64]time.Time

func (r readings) FileRead(ino uint64) (time.Time, error) { return r[ino], nil }

func (r readings) FilesRead(at time.Time, inos ...uint64) error {
	for _, ino := range inos {
		r[ino] = at
	}
	return nil
}

func (r *rig) readAgain(m readings, part int) Reread {
	r.t.Helper()
	rep, err := ReadAgain(context.Background(), r.o, m, part)
	must(r.t, err)
	return rep
}

// rotSong has sound that is found on a disk.
func rotSong(title, mark string, seed uint64) string {
	b := []byte(track(title, "Artist", "Album", seed))
	copy(b[15000:], mark)
	return string(b)
}

// TestRotBelowTheFilesystem: a disk loses bits of a file, and nothing that lstat
// tells changes. Reading again finds it, the good version stays in the place, a
// mended file is forgiven, and an approval takes what there is.
func TestRotBelowTheFilesystem(t *testing.T) {
	dir := t.TempDir()
	disk := tools.Ext4At(t, dir, 32<<20)
	must(t, os.Remove(filepath.Join(dir, "lost+found")))
	r := newRigAt(t, dir)
	for i, name := range []string{"one", "two", "three"} {
		r.write(name+".mp3", rotSong(name, "mark of "+name, uint64(i)))
	}
	r.write("four.txt", "mark of four")
	r.backup()
	good := r.placeTree()
	seen := readings{}
	if rep := r.readAgain(seen, 1); rep.Files != 4 || rep.Suspects != 0 || rep.Unknown != 0 {
		t.Fatalf("of good files: %+v", rep)
	}

	disk.Rot("mark of two", "mark of tw0")
	if w := words(r.backup()); w != "4 unchanged" {
		t.Fatalf("the disk tells: %s", w)
	}
	if rep := r.readAgain(seen, 1); rep.Files != 3 || rep.Suspects != 1 {
		t.Fatalf("after the rot: %+v", rep)
	}
	for range 2 {
		if w := words(r.backup()); w != "3 unchanged, held 1 rot" {
			t.Errorf("%q", w)
		}
		r.holdsStill(good)
	}
	r.close() // what is suspected outlives the program
	r.open()
	if w := words(r.backup()); w != "3 unchanged, held 1 rot" {
		t.Errorf("after another start: %q", w)
	}

	disk.Rot("mark of tw0", "mark of two")
	if w := words(r.backup()); w != "1 attributes, 3 unchanged" {
		t.Errorf("mended: %q", w)
	}
	if w := words(r.backup()); w != "4 unchanged" {
		t.Errorf("and forgotten: %q", w)
	}
	r.holdsStill(good)

	disk.Rot("mark of three", "mark of thr33")
	disk.Rot("mark of four", "mark of f0ur")
	r.readAgain(seen, 1)
	if w := words(r.backup()); w != "2 unchanged, held 2 rot" {
		t.Errorf("two more: %q", w)
	}
	_, err := Decide(r.cache, r.place(), Approved)
	must(t, err)
	if w := words(r.backup()); w != "2 changed, 2 unchanged" {
		t.Errorf("approved: %q", w)
	}
	r.same()
	if rep := r.readAgain(seen, 1); rep.Files != 4 || rep.Suspects != 0 {
		t.Errorf("in the end: %+v", rep)
	}
}

// TestRotWithTheTimePutBack: of one file other sound is written and its mtime put back.
// A change that keeps no time is no rot, and a change of tags is none.
func TestRotWithTheTimePutBack(t *testing.T) {
	r := newRig(t)
	for i, name := range []string{"one", "two", "three"} {
		r.write(name+".mp3", rotSong(name, "mark", uint64(i)))
	}
	r.backup()
	good := r.placeTree()
	r.secretly("one.mp3", rotSong("one", "rots", 0))
	if w := words(r.backup()); w != "2 unchanged, held 1 rot" {
		t.Errorf("%q", w)
	}
	r.holdsStill(good)
	r.write("two.mp3", rotSong("two", "meant", 1))
	r.secretly("three.mp3", rotSong("THREE", "mark", 2))
	if w := words(r.backup()); w != "2 changed, held 1 rot" {
		t.Errorf("with what is meant: %q", w)
	}
	_, err := Decide(r.cache, r.place(), Approved)
	must(t, err)
	r.backup()
	r.same()
}

// TestRotRenamed: what is held gets another name before somebody decides. That it was
// seen to differ is not forgotten over that.
func TestRotRenamed(t *testing.T) {
	r := newRig(t)
	for i, name := range []string{"one", "two"} {
		r.write(name+".mp3", rotSong(name, "mark", uint64(i)))
	}
	r.backup()
	r.secretly("one.mp3", rotSong("one", "rots", 0))
	if w := words(r.backup()); w != "1 unchanged, held 1 rot" {
		t.Errorf("%q", w)
	}
	for _, name := range []string{"once.mp3", "at last.mp3"} {
		must(t, os.Rename(r.in("one.mp3"), r.in(name)))
		if w := words(r.backup()); w != "1 moved, 1 unchanged, held 1 rot" {
			t.Errorf("as %s: %q", name, w)
		}
		must(t, os.Rename(r.in(name), r.in("one.mp3")))
	}
	_, err := Decide(r.cache, r.place(), Approved)
	must(t, err)
	if w := words(r.backup()); w != "1 changed, 1 moved, 1 unchanged" {
		t.Errorf("approved: %q", w)
	}
	r.same()
}

// TestReadAgainInTurn: parts of one third, three times, read each file once, those
// that changed meanwhile aside.
func TestReadAgainInTurn(t *testing.T) {
	r := newRig(t)
	for i := range 12 {
		r.write(string(rune('a'+i))+".mp3", track("t", "a", "b", uint64(i)))
	}
	r.backup()
	seen := readings{}
	var files int64
	for range 3 {
		files += r.readAgain(seen, 3).Files
		time.Sleep(2 * time.Millisecond)
	}
	if files != 12 {
		t.Errorf("%d readings of 12 files", files)
	}
	r.write("a.mp3", track("t", "other", "b", 0)) // the next run's matter
	if rep := r.readAgain(seen, 1); rep.Files != 11 || rep.Suspects != 0 {
		t.Errorf("with one that changed: %+v", rep)
	}
	var inos []cache.Ino
	must(t, r.cache.EachFed(r.place().Dir, func(_ string, e cache.FedEntry) error {
		inos = append(inos, e.Ino)
		return nil
	}))
	if len(seen) != len(inos) {
		t.Errorf("%d of %d are remembered", len(seen), len(inos))
	}
}
