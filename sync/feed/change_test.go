package feed

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/folder"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// changes are what may happen to a folder between two runs, and what the second
// run has to make of it. free says that nothing but names and attributes goes up.
var changes = []struct {
	name   string
	before func(r *rig)
	change func(r *rig)
	want   string
	free   bool
}{
	{name: "nothing", want: "4 unchanged", free: true},
	{name: "a new file", change: func(r *rig) { r.write("new", "new") }, want: "1 new, 4 unchanged"},
	{name: "a new folder", change: func(r *rig) { r.write("x/y/z/new", "new") }, want: "1 new, 4 unchanged"},
	{name: "an empty folder", change: func(r *rig) { must(r.t, os.Mkdir(r.in("empty"), 0o750)) }, want: "4 unchanged", free: true},
	{name: "other bytes", change: func(r *rig) { r.write("a/one", "1111") }, want: "1 changed, 3 unchanged"},
	{name: "other bytes, same size and time", change: func(r *rig) {
		r.secretly("a/one", body("ONE"))
	}, want: "1 changed, 3 unchanged"},
	{name: "other bytes, same size and time, and renamed", change: func(r *rig) {
		r.secretly("a/one", body("ONE"))
		must(r.t, os.Rename(r.in("a/one"), r.in("a/uno")))
	}, want: "1 changed, 1 moved, 3 unchanged"},
	{name: "tags changed in their padding, the time put back, and renamed", before: func(r *rig) {
		r.write("a/track.mp3", track("Title", "Artist", "Album", 1))
	}, change: func(r *rig) {
		r.secretly("a/track.mp3", track("TITLE", "Artist", "Album", 1))
		must(r.t, os.Rename(r.in("a/track.mp3"), r.in("b/track.mp3")))
	}, want: "1 changed, 1 moved, 4 unchanged"},
	{name: "other bytes, same size and time, and another mode", change: func(r *rig) {
		r.secretly("a/one", body("ONE"))
		must(r.t, os.Chmod(r.in("a/one"), 0o600))
	}, want: "1 changed, 3 unchanged"},
	{name: "other bytes, same size and time, and a link", change: func(r *rig) {
		r.secretly("a/one", body("ONE"))
		must(r.t, os.Link(r.in("a/one"), r.in("a/uno")))
	}, want: "1 new, 1 changed, 3 unchanged"},
	{name: "touched", change: func(r *rig) {
		must(r.t, os.Chtimes(r.in("a/one"), time.Now(), time.Unix(1e9, 7)))
	}, want: "1 attributes, 3 unchanged", free: true},
	{name: "the ctime alone", change: func(r *rig) {
		must(r.t, os.Chmod(r.in("a/one"), 0o600))
		must(r.t, os.Chmod(r.in("a/one"), 0o644))
	}, want: "1 attributes, 3 unchanged", free: true},
	{name: "mode", change: func(r *rig) { must(r.t, os.Chmod(r.in("a/one"), 0o4711)) }, want: "1 attributes, 3 unchanged", free: true},
	{name: "mode of a folder", change: func(r *rig) { must(r.t, os.Chmod(r.in("a"), 0o1777)) }, want: "4 unchanged", free: true},
	{name: "mode of the whole", change: func(r *rig) { must(r.t, os.Chmod(r.dir, 0o711)) }, want: "4 unchanged", free: true},
	{name: "an extended attribute", change: func(r *rig) { must(r.t, unix.Setxattr(r.in("a/one"), "user.note", []byte("new"), 0)) }, want: "1 attributes, 3 unchanged", free: true},
	{name: "an extended attribute of a folder", change: func(r *rig) { must(r.t, unix.Setxattr(r.in("a"), "user.note", []byte("new"), 0)) }, want: "4 unchanged", free: true},
	{name: "renamed", change: func(r *rig) { must(r.t, os.Rename(r.in("a/one"), r.in("a/uno"))) }, want: "1 moved, 3 unchanged", free: true},
	{name: "moved", change: func(r *rig) { must(r.t, os.Rename(r.in("a/one"), r.in("b/one"))) }, want: "1 moved, 3 unchanged", free: true},
	{name: "moved into a new folder", change: func(r *rig) {
		must(r.t, os.MkdirAll(r.in("n/m"), 0o755))
		must(r.t, os.Rename(r.in("a/one"), r.in("n/m/one")))
	}, want: "1 moved, 3 unchanged", free: true},
	{name: "moved and changed", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a/one"), r.in("a/uno")))
		r.write("a/uno", "uno!")
	}, want: "1 changed, 1 moved, 3 unchanged"},
	{name: "a folder renamed", change: func(r *rig) { must(r.t, os.Rename(r.in("a"), r.in("z"))) }, want: "1 moved, 4 unchanged", free: true},
	{name: "a folder renamed, and changes in it", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a"), r.in("z")))
		r.write("z/new", "new")
		must(r.t, os.Rename(r.in("z/one"), r.in("z/uno")))
		must(r.t, os.Remove(r.in("z/two")))
	}, want: "1 new, 2 moved, 1 gone, 2 unchanged"},
	{name: "a folder renamed, and a file of it moved out and replaced", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a"), r.in("z")))
		must(r.t, os.Rename(r.in("z/one"), r.in("zz")))
		r.write("z/one", "another")
	}, want: "1 new, 2 moved, 3 unchanged"},
	{name: "a folder renamed, and a file of it moved to another folder and replaced", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a"), r.in("n")))
		must(r.t, os.Rename(r.in("n/two"), r.in("n/zwei")))
		must(r.t, os.Rename(r.in("n/one"), r.in("n/two")))
	}, want: "3 moved, 2 unchanged", free: true},
	{name: "a folder renamed, and a folder of it moved out and replaced", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a"), r.in("z")))
		must(r.t, os.Rename(r.in("z/sub"), r.in("zz")))
		r.write("z/sub/deep", "another")
		r.write("z/sub/more", "more")
	}, want: "2 new, 2 moved, 3 unchanged"},
	{name: "a folder moved out of one that is gone", before: func(r *rig) { r.write("deep/er/most/file", "x") }, change: func(r *rig) {
		must(r.t, os.Rename(r.in("deep/er/most"), r.in("most")))
		must(r.t, os.RemoveAll(r.in("deep")))
	}, want: "1 moved, 5 unchanged", free: true},
	{name: "a folder moved into a new one", change: func(r *rig) {
		must(r.t, os.Mkdir(r.in("n"), 0o755))
		must(r.t, os.Rename(r.in("a"), r.in("n/a")))
	}, want: "1 moved, 4 unchanged", free: true},
	{name: "a folder moved into one of its own that moved out", before: func(r *rig) { r.write("p/q/file", "x") }, change: func(r *rig) {
		must(r.t, os.Rename(r.in("p/q"), r.in("q")))
		must(r.t, os.Rename(r.in("p"), r.in("q/p")))
	}, want: "2 moved, 5 unchanged", free: true},
	{name: "numbers shifted", before: func(r *rig) {
		for _, n := range []string{"1", "2", "3"} {
			r.write("n/"+n, "track "+n)
		}
	}, change: func(r *rig) {
		must(r.t, os.Rename(r.in("n/3"), r.in("n/4")))
		must(r.t, os.Rename(r.in("n/2"), r.in("n/3")))
		must(r.t, os.Rename(r.in("n/1"), r.in("n/2")))
		r.write("n/1", "new first")
	}, want: "1 new, 3 moved, 4 unchanged"},
	{name: "swapped", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a/one"), r.in("tmp")))
		must(r.t, os.Rename(r.in("a/two"), r.in("a/one")))
		must(r.t, os.Rename(r.in("tmp"), r.in("a/two")))
	}, want: "2 changed, 2 unchanged", free: true},
	{name: "renamed over another", change: func(r *rig) { must(r.t, os.Rename(r.in("a/one"), r.in("a/two"))) }, want: "1 changed, 1 gone, 2 unchanged", free: true},
	{name: "rewritten by a new file", change: func(r *rig) {
		r.write("tmp", "one, anew")
		must(r.t, os.Rename(r.in("tmp"), r.in("a/one")))
	}, want: "1 changed, 3 unchanged"},
	{name: "gone", change: func(r *rig) { must(r.t, os.Remove(r.in("a/one"))) }, want: "1 gone, 3 unchanged", free: true},
	{name: "a folder gone", change: func(r *rig) { must(r.t, os.RemoveAll(r.in("a"))) }, want: "3 gone, 1 unchanged", free: true},
	{name: "a file turned folder", change: func(r *rig) {
		must(r.t, os.Remove(r.in("b/three")))
		r.write("b/three/file", "x")
	}, want: "1 new, 1 gone, 3 unchanged"},
	{name: "a folder turned file", change: func(r *rig) {
		must(r.t, os.RemoveAll(r.in("a")))
		r.write("a", "x")
	}, want: "1 new, 3 gone, 1 unchanged"},
	{name: "a folder moved, and a file in its name", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a"), r.in("z")))
		r.write("a", "x")
	}, want: "1 new, 1 moved, 4 unchanged"},
	{name: "a folder turned file, and what was in it moved behind that", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a/one"), r.in("z")))
		must(r.t, os.RemoveAll(r.in("a")))
		r.write("a", "x")
	}, want: "1 new, 1 moved, 2 gone, 1 unchanged"},
	{name: "two folders that exchanged a file and a folder", before: func(r *rig) { r.write("k/inner/file", "x"); r.write("l/inner", "y") }, change: func(r *rig) {
		must(r.t, os.Rename(r.in("k/inner"), r.in("tmp")))
		must(r.t, os.Rename(r.in("l/inner"), r.in("k/inner")))
		must(r.t, os.Rename(r.in("tmp"), r.in("l/inner")))
	}, want: "2 moved, 5 unchanged", free: true},
	{name: "a file in the name of a folder whose files moved behind it", change: func(r *rig) {
		must(r.t, os.Mkdir(r.in("z"), 0o755))
		must(r.t, os.Rename(r.in("a/one"), r.in("z/one")))
		must(r.t, os.RemoveAll(r.in("a")))
		r.write("a", "x")
	}, want: "1 new, 1 moved, 2 gone, 1 unchanged"},
	{name: "a link", change: func(r *rig) { must(r.t, os.Symlink("/nowhere", r.in("link"))) }, want: "1 new, 4 unchanged", free: true},
	{name: "a link that leads elsewhere", before: func(r *rig) { must(r.t, os.Symlink("there", r.in("link"))) }, change: func(r *rig) {
		must(r.t, os.Remove(r.in("link")))
		must(r.t, os.Symlink("here", r.in("link")))
	}, want: "1 attributes, 4 unchanged", free: true},
	{name: "a hard link", change: func(r *rig) { must(r.t, os.Link(r.in("a/one"), r.in("b/uno"))) }, want: "1 new, 1 attributes, 3 unchanged", free: true},
	{name: "a hard link to a new file", change: func(r *rig) {
		r.write("z", "zz")
		must(r.t, os.Link(r.in("z"), r.in("a/z")))
	}, want: "2 new, 4 unchanged"},
	{name: "hard links that parted", before: func(r *rig) { must(r.t, os.Link(r.in("a/one"), r.in("b/uno"))) }, change: func(r *rig) {
		must(r.t, os.Remove(r.in("b/uno")))
		r.write("b/uno", "other")
	}, want: "1 new, 1 attributes, 1 gone, 3 unchanged"},
	{name: "files that became hard links", change: func(r *rig) {
		must(r.t, os.Remove(r.in("b/three")))
		must(r.t, os.Link(r.in("a/one"), r.in("b/three")))
	}, want: "1 new, 1 attributes, 1 gone, 2 unchanged", free: true},
	{name: "a folder renamed, and in it a file whose name a new one has", change: func(r *rig) {
		must(r.t, os.Rename(r.in("a"), r.in("z")))
		must(r.t, os.Rename(r.in("z/one"), r.in("z/uno")))
		r.write("z/one", "another")
	}, want: "1 new, 2 moved, 3 unchanged"},
	{name: "one of several names exchanged for another file", before: func(r *rig) { must(r.t, os.Link(r.in("a/one"), r.in("b/uno"))) }, change: func(r *rig) {
		must(r.t, unix.Renameat2(unix.AT_FDCWD, r.in("b/uno"), unix.AT_FDCWD, r.in("a/two"), unix.RENAME_EXCHANGE))
		must(r.t, os.Link(r.in("a/one"), r.in("a/again")))
	}, want: "3 new, 1 attributes, 2 gone, 2 unchanged"},
	{name: "two files replaced by one of two names", change: func(r *rig) {
		r.write("new", "new new")
		must(r.t, os.Link(r.in("new"), r.in("new2")))
		must(r.t, os.Rename(r.in("new"), r.in("a/one")))
		must(r.t, os.Rename(r.in("new2"), r.in("a/two")))
	}, want: "2 new, 2 gone, 2 unchanged"},
	{name: "hard links renamed", before: func(r *rig) { must(r.t, os.Link(r.in("a/one"), r.in("b/uno"))) }, change: func(r *rig) {
		must(r.t, os.Rename(r.in("a/one"), r.in("a/eins")))
		must(r.t, os.Rename(r.in("b/uno"), r.in("b/eins")))
	}, want: "1 new, 1 moved, 1 gone, 3 unchanged", free: true},
	{name: "a hard link gone", before: func(r *rig) { must(r.t, os.Link(r.in("a/one"), r.in("b/uno"))) }, change: func(r *rig) {
		must(r.t, os.Remove(r.in("b/uno")))
	}, want: "1 attributes, 1 gone, 3 unchanged", free: true},
	{name: "a fifo", change: func(r *rig) { must(r.t, unix.Mkfifo(r.in("fifo"), 0o640)) }, want: "1 new, 4 unchanged", free: true},
	{name: "names in any bytes", change: func(r *rig) { r.write("Bj\xf6rk\n/\x01 \xff.mp3", "x") }, want: "1 new, 4 unchanged"},
	{name: "a pattern that leaves out what was kept", change: func(r *rig) { r.write(folder.IgnoreFile, "/a\n") }, want: "1 new, 3 gone, 1 unchanged"},
	{name: "an empty file", change: func(r *rig) { r.write("empty", "") }, want: "1 new, 4 unchanged"},
	{name: "a file emptied", change: func(r *rig) { r.write("a/one", "") }, want: "1 changed, 3 unchanged", free: true},
}

// TestChanges backs up a small folder, changes it, backs it up again and compares.
func TestChanges(t *testing.T) {
	for _, tt := range changes {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.write("a/one", body("one"))
			r.write("a/two", body("two two"))
			r.write("a/sub/deep", body("deep"))
			r.write("b/three", body("three"))
			must(t, unix.Setxattr(r.in("a/two"), "user.note", []byte("note"), 0))
			if tt.before != nil {
				tt.before(r)
			}
			r.backup()
			r.same()
			before := r.st.Counts()
			if tt.change != nil {
				tt.change(r)
			}
			rep := r.backup()
			if got := words(rep); got != tt.want {
				t.Errorf("report %q, want %q", got, tt.want)
			}
			if tt.name != "a pattern that leaves out what was kept" {
				r.same()
			}
			after := r.st.Counts()
			if n := after.UploadedBytes - before.UploadedBytes; tt.free && n > 2000 { // a commit, or two under load
				t.Errorf("%d bytes for names and attributes", n)
			}
			again := r.backup()
			if w := words(again); strings.ContainsAny(w, ",") || r.st.Counts().Puts != after.Puts {
				t.Errorf("a third run: %q, %d objects", w, r.st.Counts().Puts-after.Puts)
			}
		})
	}
}

// TestUnchangedAsksNothing: a run that finds nothing asks the store nothing.
func TestUnchangedAsksNothing(t *testing.T) {
	r := newRig(t)
	r.library(30)
	r.backup()
	before := r.st.Counts()
	if w := words(r.backup()); w != "30 unchanged" {
		t.Error(w)
	}
	if after := r.st.Counts(); after != before {
		t.Errorf("asked: %+v, before %+v", after, before)
	}
}

// TestRetagKeepsTheSound: the sound of a track that was retagged is not sent again.
func TestRetagKeepsTheSound(t *testing.T) {
	r := newRig(t)
	r.write("a.mp3", track("One", "Artist", "Album", 1))
	r.backup()
	before := r.st.Counts().UploadedBytes
	r.write("a.mp3", track("One", "Another Artist", "Album", 1))
	if w := words(r.backup()); w != "1 changed" {
		t.Error(w)
	}
	r.same()
	if n := r.st.Counts().UploadedBytes - before; n > 5000 {
		t.Errorf("%d bytes for a retag", n)
	}
}

// TestDryRun changes nothing and says what a run would.
func TestDryRun(t *testing.T) {
	r := newRig(t)
	r.write("a", "a")
	r.write("b", "b")
	r.write("c", "c")
	r.backup()
	r.write("new", "new")
	r.write("a", "aa")
	must(t, os.Remove(r.in("b")))
	must(t, os.Rename(r.in("c"), r.in("d")))
	r.o.DryRun = true
	const want = "1 new, 1 changed, 1 moved, 1 gone"
	for range 2 {
		if w := words(r.run()); w != want {
			t.Errorf("%q, want %q", w, want)
		}
	}
	r.o.DryRun = false
	if w := words(r.backup()); w != want {
		t.Errorf("the run: %q, want %q", w, want)
	}
	r.same()
}

// TestUnreadable: what cannot be read is told, stays in the place as it was, and is
// never taken for gone.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	r := newRig(t)
	r.write("dir/kept", "kept")
	r.write("dir/sub/deep", "deep")
	r.write("changed", "before")
	r.write("gone", "gone")
	r.backup()
	must(t, os.Chmod(r.in("dir"), 0o300))
	r.write("changed", "after")
	must(t, os.Chmod(r.in("changed"), 0o200))
	r.write("new", "new")
	must(t, os.Chmod(r.in("new"), 0o200))
	must(t, os.Remove(r.in("gone")))
	rep, err := Run(t.Context(), r.o)
	must(t, err)
	r.wait()
	if w := words(rep); w != "1 gone" || rep.Failed != 3 || rep.Whole() {
		t.Errorf("%q, %d problems: %v", w, rep.Failed, rep.Problems)
	}
	for _, name := range []string{"dir/kept", "dir/sub/deep", "changed"} {
		r.ino(name)
	}
	if b := r.read(r.ino("changed"), 6); string(b) != "before" {
		t.Errorf("what could not be read is %q in the place", b)
	}
	must(t, os.Chmod(r.in("dir"), 0o755))
	must(t, os.Chmod(r.in("changed"), 0o644))
	must(t, os.Chmod(r.in("new"), 0o644))
	r.backup()
	r.same()
}

// TestNoFolder: a folder that is missing, or is none, is an error and nothing is gone.
func TestNoFolder(t *testing.T) {
	r := newRig(t)
	r.write("a", "a")
	r.backup()
	must(t, os.Rename(r.dir, r.dir+"-away"))
	t.Cleanup(func() { os.RemoveAll(r.dir + "-away") })
	for range 2 {
		if _, err := Run(t.Context(), r.o); !errors.Is(err, folder.ErrNoFolder) {
			t.Error(err)
		}
		must(t, os.WriteFile(r.dir, nil, 0o600))
	}
	must(t, os.Remove(r.dir))
	r.ino("a")
	must(t, os.Rename(r.dir+"-away", r.dir))
	if w := words(r.backup()); w != "1 unchanged" {
		t.Error(w)
	}
}

// TestYoung: a file that was written just now is looked at again, and taken in by
// the same run once it is left alone.
func TestYoung(t *testing.T) {
	r := newRig(t)
	r.o.Settle = 100 * time.Millisecond
	r.write("a", "a")
	if w := words(r.backup()); w != "1 new" {
		t.Error(w)
	}
	r.same()
}

// TestYoungerThanTheScan: nor is a file left that is written while the run looks.
func TestYoungerThanTheScan(t *testing.T) {
	r := newRig(t)
	r.o.Settle, r.o.Limits = 500*time.Millisecond, DefaultLimits
	half := func(p Progress) {
		if p.Phase == PhaseScan && p.Scanned == 0 {
			time.Sleep(10 * time.Millisecond)
			r.write("growing", "half")
			time.Sleep(10 * time.Millisecond)
		}
	}
	r.o.Progress = half
	if rep := r.run(); len(rep.Busy) != 1 || rep.New != 0 {
		t.Errorf("%s, busy %q", words(rep), rep.Busy)
	}
}

// TestBusy: a file that is written all the time is told, and the rest goes on.
func TestBusy(t *testing.T) {
	r := newRig(t)
	r.o.Settle = time.Second // a busy machine may not let the writer write for a while
	r.write("quiet", "quiet")
	must(t, os.Chtimes(r.in("quiet"), time.Time{}, time.Unix(1e9, 0)))
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				_ = os.WriteFile(r.in("busy"), []byte(time.Now().String()), 0o600)
			}
		}
	}()
	time.Sleep(30 * time.Millisecond)
	rep := r.run()
	close(stop)
	<-ended
	if w := words(rep); w != "1 new" || len(rep.Busy) != 1 || rep.Busy[0] != "busy" || rep.Whole() {
		t.Errorf("%q, busy %q", w, rep.Busy)
	}
	time.Sleep(r.o.Settle)
	if rep := r.backup(); !rep.Whole() {
		t.Errorf("left alone, it is busy still: %+v", rep)
	}
	r.same()
}

// TestAttach: a folder finds its place again, with what was set for it.
func TestAttach(t *testing.T) {
	r := newRig(t)
	exclude, cross := []string{"*.wav"}, true
	p, err := Attach(r.cache, Settings{Root: r.dir, Exclude: &exclude, CrossDevice: &cross})
	must(t, err)
	if p.Name != placeName {
		t.Errorf("place %q", p.Name)
	}
	r.write("a.wav", "x")
	r.write("a.mp3", "x")
	if w := words(r.backup()); w != "1 new" {
		t.Error(w)
	}
	other := t.TempDir()
	if _, err := Attach(r.cache, Settings{Root: other, Name: ".snapshots"}); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a reserved name: %v", err)
	}
	if _, err := Attach(r.cache, Settings{Root: other, Name: placeName}); !errors.Is(err, ErrNameTaken) {
		t.Error(err)
	}
	if _, err := Attach(r.cache, Settings{Root: r.dir, Name: "Other"}); !errors.Is(err, ErrOtherName) {
		t.Error(err)
	}
	if _, err := Attach(r.cache, Settings{Root: other + "/absent"}); !errors.Is(err, folder.ErrNoFolder) {
		t.Error(err)
	}
	if _, err := Attach(r.cache, Settings{Root: "/"}); !errors.Is(err, ErrNoName) {
		t.Error(err)
	}
	if _, err := Run(t.Context(), Options{Cache: r.cache, Place: "Nowhere"}); !errors.Is(err, ErrNoPlace) {
		t.Error(err)
	}
}

// TestMountedOver: what a mount hides is not gone, and what is mounted is not taken
// in, unless it was asked for.
func TestMountedOver(t *testing.T) {
	r := newRig(t)
	r.write("disk/hidden", "hidden")
	r.write("other", "other")
	r.backup()
	t.Run("mounted", func(t *testing.T) {
		tools.TmpfsAt(t, r.in("disk"), "size=1m")
		must(t, os.WriteFile(r.in("disk/strange"), []byte("strange"), 0o644))
		if rep := r.backup(); words(rep) != "1 unchanged" || len(rep.Skipped) != 1 || rep.Skipped[0].Path != "disk" {
			t.Errorf("%s, left out %v", words(rep), rep.Skipped)
		}
		r.ino("disk/hidden")
		cross := true
		_, err := Attach(r.cache, Settings{Root: r.dir, CrossDevice: &cross})
		must(t, err)
		if w := words(r.backup()); w != "1 new, 1 gone, 1 unchanged" {
			t.Error("across:", w)
		}
		r.same()
	})
	r.backup()
	r.same()
}
