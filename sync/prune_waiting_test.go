package sync

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// onlyOnce is the version of a file that is on the drive no more: the row of it in the history.
func (n *pruning) onlyOnce(t *testing.T, name string) cache.Row {
	t.Helper()
	db, moments := n.moments(t)
	defer db.Close()
	for _, m := range moments {
		v := db.At(m.Rev)
		list, err := v.List(history.Root)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if e.Name != name {
				continue
			}
			row, _, err := v.Inode(e.Inode)
			if err != nil {
				t.Fatal(err)
			}
			return FromRepo(row)
		}
	}
	t.Fatalf("%s was never there", name)
	return cache.Row{}
}

// TestPruneOfWhatWasPutBack: an old version was put back, as undo does, and is in no commit
// yet. No moment that is kept has its sound, and none of it is here: what waits here is all that
// needs it, and that is enough.
func TestPruneOfWhatWasPutBack(t *testing.T) {
	w := newWorld(t)
	all := w.pruners(t, "one", "two")
	one, two := all[0], all[1]
	song := tagged(one.rng, 400_000)
	one.write("song", song)
	one.write("gone", tagged(one.rng, 400_000))
	one.saved(t)
	one.removes(t, "song", "gone")
	two.again(t, w)
	if _, err := two.cache.Edit().PutBack(cache.Root, "song", two.onlyOnce(t, "song")); err != nil {
		t.Fatal(err)
	}
	var deleted int64
	for range 3 {
		deleted += two.pruned(t, keepLast(1)).Deleted
		one.again(t, w) // it hears
		one.saved(t)
	}
	if deleted == 0 {
		t.Error("nothing was deleted: it shows nothing")
	}
	two.saved(t)
	coldDrive(t, w, map[string][]byte{"song": song})
}

// TestPruneBesideWhatIsCutAlready: a retag waits that was cut before its sound was condemned
// and which is not here, and so does another file. That one's commit must not say that this home
// heard: whoever condemned the sound deletes it at once then, before it was brought here.
func TestPruneBesideWhatIsCutAlready(t *testing.T) {
	w := newWorld(t)
	all := w.pruners(t, "one", "two")
	one, two := all[0], all[1]
	song := tagged(one.rng, 400_000)
	one.write("song", song)
	one.write("gone", tagged(one.rng, 400_000)) // by which it is seen that one deletes
	one.saved(t)
	two.again(t, w)
	song = bytes.Clone(song)
	copy(song[len(song)-8:], "retagged")
	two.patch("song", song[len(song)-8:], int64(len(song)-8))
	a, err := two.cache.Lookup(cache.Root, "song")
	if err != nil {
		t.Fatal(err)
	}
	two.cache.SettleNow(true)
	if n, _, err := two.w.round(t.Context(), []cache.Ino{a.Ino}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	two.cache.SettleNow(false)
	one.removes(t, "song", "gone")
	if p := one.pruned(t, keepLast(1)); p.Condemned < 1 || p.Deleted > 0 {
		t.Fatalf("%+v", p)
	}
	two.again(t, w)
	two.write("other", tagged(two.rng, 1000))
	commits := 0
	var deleted int64
	two.w.o.Committed = func(*repo.Commit) {
		commits++
		deleted += one.pruned(t, keepLast(1)).Deleted
	}
	two.saved(t)
	two.saved(t)
	if commits < 2 || deleted == 0 {
		t.Errorf("%d commits, %d deleted: it shows nothing", commits, deleted)
	}
	coldDrive(t, w, map[string][]byte{"song": song})
}

// retire retires a device, as another machine does that has the recovery key.
func (w *world) retire(t *testing.T, n *pruning) {
	t.Helper()
	certs, _, err := repo.Devices(t.Context(), w.mem, w.keys)
	if err == nil {
		_, err = repo.Retire(t.Context(), w.mem, w.keys, w.root, certs[n.dev.ID])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPruneAsAnotherIsRetired: while a prune runs a device that has not heard uses what was
// condemned, and is then retired. It is waited for no more, and what it committed before stays.
func TestPruneAsAnotherIsRetired(t *testing.T) {
	w := newWorld(t)
	all := w.pruners(t, "one", "two")
	one, two := all[0], all[1]
	song := tagged(one.rng, 400_000)
	one.write("song", song)
	one.write("gone", tagged(one.rng, 400_000))
	one.saved(t)
	two.again(t, w)
	two.saved(t)
	one.removes(t, "song", "gone")
	if p := one.pruned(t, keepLast(1)); p.Condemned < 2 || p.Deleted > 0 || len(p.WaitsFor) != 1 {
		t.Fatalf("%+v", p)
	}
	stop := &stopping{Store: w.mem, left: 1 << 30}
	done := false
	stop.hook = func(int) { // it has read the log, and not yet looked who uses the repository
		if _, ops := stop.state(); !done && ops[len(ops)-1] == "list checkpoints/" {
			done = true
			two.write("copy", song)
			two.saved(t)
			w.retire(t, two)
		}
	}
	one.closeFiles()
	one.assemble(stop)
	p := one.pruned(t, keepLast(1))
	if !done || p.Deleted == 0 || len(p.WaitsFor) > 0 {
		t.Errorf("%v, %+v: want nobody waited for, and the other deleted", done, p)
	}
	stop.hook = nil
	one.again(t, w)
	one.saved(t)
	if p := one.pruned(t, keepLast(1)); p.Kept > 0 {
		t.Errorf("%+v: a retired device holds up what is condemned", p)
	}
	coldDrive(t, w, map[string][]byte{"copy": song})
}

// TestRetiredHoldsUpNothing: what was condemned before a device was retired that never heard
// is deleted once it is, and what a retired device itself condemned is, too.
func TestRetiredHoldsUpNothing(t *testing.T) {
	w := newWorld(t)
	all := w.pruners(t, "one", "two")
	one, two := all[0], all[1]
	one.write("first", tagged(one.rng, 400_000))
	one.write("second", tagged(one.rng, 400_000))
	one.saved(t)
	song := tagged(two.rng, 400_000)
	two.again(t, w)
	two.write("song", song)
	two.saved(t)
	remove := func(n *pruning, name string) int64 {
		t.Helper()
		if err := n.cache.Unlink(cache.Root, name); err != nil {
			t.Fatal(err)
		}
		n.write("after "+name, tagged(n.rng, 1000))
		n.saved(t)
		p := n.pruned(t, keepLast(1))
		if p.Condemned == 0 || p.Deleted > 0 {
			t.Fatalf("%+v", p)
		}
		return p.Condemned
	}
	condemned := remove(two, "first") // one has not heard
	condemned += remove(one, "second")
	w.retire(t, two)
	var deleted int64
	for range 3 {
		one.again(t, w)
		one.saved(t)
		deleted += one.pruned(t, keepLast(1)).Deleted
	}
	if p := one.pruned(t, keepLast(1)); deleted < condemned || p.Kept+p.Condemned > 0 {
		t.Errorf("%d condemned, %d deleted; %+v", condemned, deleted, p)
	}
	coldDrive(t, w, map[string][]byte{"song": song})
	two.write("late", song)
	if err := two.backup(); !errors.Is(err, repo.ErrRetired) {
		t.Errorf("a retired device commits: %v", err)
	}
}

// TestPruneOfWhatIsInTheMaking: a prune comes when sound is uploaded that no commit places
// yet, days ago, over a start of the program, and when a sealed commit was not sent that uses what
// the prune would condemn. Both stay.
func TestPruneOfWhatIsInTheMaking(t *testing.T) {
	w := newWorld(t)
	one := w.pruners(t, "one")[0]
	old := tagged(one.rng, 400_000)
	one.write("old", old)
	one.write("gone", tagged(one.rng, 400_000))
	one.saved(t)
	one.removes(t, "old", "gone")
	cut := &faulty{Store: w.mem, before: func(key string) error {
		if strings.HasPrefix(key, "log/") {
			return errCut
		}
		return nil
	}}
	one.closeFiles()
	one.assemble(cut)
	if _, err := one.cache.Edit().PutBack(cache.Root, "old", one.onlyOnce(t, "old")); err != nil {
		t.Fatal(err)
	}
	if err := one.backup(); !errors.Is(err, errCut) { // sealed, and not sent
		t.Fatal(err)
	}
	song := tagged(one.rng, 400_000)
	ino := one.write("song", song)
	one.cache.SettleNow(true)
	if _, _, err := one.w.round(t.Context(), []cache.Ino{ino}); err != nil {
		t.Fatal(err)
	}
	if _, err := one.w.sound(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.cache.SettleNow(false)
	if n := len(one.index.Unplaced()); n < 2 || cut.count("log/") > 0 {
		t.Fatalf("%d objects are in the making, %d commits were sent", n, cut.count("log/"))
	}
	one.closeFiles()
	late := &faulty{Store: w.mem}
	one.assemble(late)
	one.w.o.Now = func() time.Time { return time.Now().Add(leftoverAge + time.Hour) }
	if p := one.pruned(t, keepLast(1)); p.Deleted == 0 || p.Leftovers > 0 {
		t.Errorf("%+v: want what is gone deleted, and nothing taken for a leftover", p)
	}
	one.saved(t)
	if n := late.count("audio/"); n > 0 {
		t.Errorf("%d objects of sound were sent again", n)
	}
	one.pruned(t, keepLast(1))
	coldDrive(t, w, map[string][]byte{"old": old, "song": song})
}
