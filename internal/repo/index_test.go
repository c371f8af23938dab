package repo

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func (e *env) reopen() {
	e.t.Helper()
	if err := e.x.Close(); err != nil {
		e.t.Fatal(err)
	}
	e.x = must(OpenIndex(e.path))(e.t)
}

func (e *env) placed(p []byte) (Placement, bool) {
	e.t.Helper()
	place, ok, err := e.x.Lookup(e.k.BlobID(p))
	if err != nil {
		e.t.Fatal(err)
	}
	return place, ok
}

func TestObjectCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := genObject.Draw(t, "row")
		b := encodeObject(&row)
		got, err := decodeObject(b)
		if diff := cmp.Diff(row, got); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		if _, err := decodeObject(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("a cut row decodes")
		}
	})
}

func TestIndexLookup(t *testing.T) {
	e := newEnv(t)
	a, b, c := noise(1, 1000), noise(2, 300<<10), noise(3, 2000)
	sound := e.audio(a, c)
	pack := e.pack(Tags, a, b, c)
	check := func(when string) {
		t.Helper()
		p, ok := e.placed(c)
		want := Placement{pack.Name, pack.Size, pack.Head, Tags, pack.Frames[0].Packed + pack.Frames[1].Packed, pack.Frames[2].Packed, 0, 2000}
		if diff := cmp.Diff(want, p); !ok || diff != "" {
			t.Errorf("%s: %v %s", when, ok, diff)
		}
		if _, ok := e.placed([]byte("none")); ok {
			t.Errorf("%s: a blob that is nowhere", when)
		}
	}
	check("acknowledged")
	e.reopen()
	check("acknowledged, reopened")
	if n := len(e.x.Unplaced()); n != 2 {
		t.Errorf("%d objects unplaced, want 2", n)
	}
	e.commit(&Commit{})
	check("committed")
	e.reopen()
	check("committed, reopened")
	if n := len(e.x.Unplaced()); n != 0 {
		t.Errorf("%d objects unplaced, want 0", n)
	}
	if h := must(e.x.Header(sound.Name))(t); len(h) != pinnedSize {
		t.Errorf("header of %d bytes", len(h))
	}

	// Condemning one of two objects with a blob leaves the other place.
	e.commit(&Commit{Condemned: []CondemnRow{{Name: pack.Name, Size: pack.Size, Why: "test"}}})
	if p, ok := e.placed(c); !ok || p.Object != sound.Name || p.Off != 1000 || p.FrameLen != 0 {
		t.Errorf("%+v %v, want a place in %s", p, ok, sound.Name)
	}
	if _, ok := e.placed(b); ok {
		t.Error("a blob of a condemned object is placed")
	}
	totals := must(e.x.Totals())(t)
	if diff := cmp.Diff(map[string]Totals{Audio: {1, sound.Size, 2, 3000}, Tags: {}}, totals); diff != "" {
		t.Error(diff)
	}
	if h := must(e.x.Heads())(t); h[e.d.ID] != e.head {
		t.Errorf("heads %v, want %v", h, e.head)
	}
}

func TestApplyTwice(t *testing.T) {
	e := newEnv(t)
	e.pack(Tags, noise(1, 100))
	c := e.commit(&Commit{})
	before := must(e.x.Totals())(t)
	if err := e.x.Apply(c, c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, must(e.x.Totals())(t)); diff != "" {
		t.Error(diff)
	}
}

func TestObjectsAreSorted(t *testing.T) {
	e := newEnv(t)
	for i := range 30 {
		e.pack(Tags, noise(uint64(i), 20))
		e.audio(noise(uint64(i), 20))
	}
	e.commit(&Commit{})
	var last Row
	n := 0
	for row, err := range e.x.Objects() {
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && compareRows(last, row) >= 0 {
			t.Error("not sorted")
		}
		last = row
		n++
	}
	if n != 60 {
		t.Errorf("%d objects, want 60", n)
	}
	rows, last2, err := e.x.objectsAfter(nil, 7, 1000)
	if err != nil || len(rows) != 7 {
		t.Fatal(len(rows), err)
	}
	if next, _, err := e.x.objectsAfter(last2, 1, 1000); err != nil || len(next) != 1 || compareRows(rows[6], next[0]) >= 0 {
		t.Error("the next page does not follow", err)
	}
	packs, blobs := 0, 0 // of a page that is to have few blobs
	page, _, err := e.x.objectsAfter([]byte{'m'}, 60, 2)
	for _, row := range page {
		if blobs >= 2 {
			t.Errorf("another object is read after %d with %d blobs", packs, blobs)
		}
		packs++
		blobs += len(row.Blobs())
	}
	if err != nil || packs != 2 {
		t.Error(packs, err)
	}
}

// TestTornAcks cuts and damages the journal at every kind of place: whole
// records before it stay, and new ones follow.
func TestTornAcks(t *testing.T) {
	e := newEnv(t)
	first := e.pack(Tags, []byte("one"))
	whole := len(must(os.ReadFile(e.path + ".acks"))(t))
	e.pack(Tags, []byte("two"))
	text := must(os.ReadFile(e.path + ".acks"))(t)
	for name, torn := range map[string][]byte{
		"cut in length": text[:whole+3], "cut in record": text[:len(text)-1], "flipped": flip(text, len(text)-200),
		"length flipped": flip(text, whole+3), "zeros behind": append(text[:whole:whole], make([]byte, 4096)...),
	} {
		e.x.Close()
		if err := os.WriteFile(e.path+".acks", torn, 0o600); err != nil {
			t.Fatal(err)
		}
		e.x = must(OpenIndex(e.path))(t)
		if rows := e.x.Unplaced(); len(rows) != 1 || rows[0].Name != first.Name {
			t.Errorf("%s: unplaced %v, want the first", name, rows)
		}
		e.pack(Tags, []byte("three"))
		e.reopen()
		if _, ok := e.placed([]byte("three")); !ok || len(e.x.Unplaced()) != 2 {
			t.Errorf("%s: a record behind the torn one is lost", name)
		}
		if _, ok := e.placed([]byte("two")); ok {
			t.Errorf("%s: the torn record was taken", name)
		}
	}
}

// TestAcksAfterDeathBetween: the commit is in the database, but the program died
// before the journal was cleared.
func TestAcksAfterDeathBetween(t *testing.T) {
	e := newEnv(t)
	e.pack(Tags, []byte("one"))
	text := must(os.ReadFile(e.path + ".acks"))(t)
	e.commit(&Commit{})
	e.x.Close()
	if err := os.WriteFile(e.path+".acks", text, 0o600); err != nil {
		t.Fatal(err)
	}
	e.x = must(OpenIndex(e.path))(t)
	if rows := e.x.Unplaced(); len(rows) != 0 {
		t.Errorf("unplaced %v, want none", rows)
	}
	kept := e.pack(Tags, []byte("two"))
	e.pack(Tags, []byte("three"))
	e.next(&Commit{})
	c := &Commit{Puts: e.x.Unplaced()[1:]}
	if err := e.x.Apply(c); err != nil { // places one of two
		t.Fatal(err)
	}
	e.reopen()
	if rows := e.x.Unplaced(); len(rows) != 1 || rows[0].Name != kept.Name {
		t.Errorf("unplaced %v, want %s", rows, kept.Name)
	}
}

func TestIndexEntrySize(t *testing.T) {
	p := Placement{FrameOff: 12 << 20, FrameLen: 100 << 10, Off: 200 << 10, Size: 2048}
	if n := 20 + len(p.encode()); n > 40 {
		t.Errorf("%d bytes a blob, want at most 40", n)
	}
}

// TestFailedSyncIsFinal has a sync of the index fail once: a later one that
// succeeds says nothing about what was dropped.
func TestFailedSyncIsFinal(t *testing.T) {
	e := newEnv(t)
	change := func(seq uint64) error {
		return e.x.Apply(&Commit{Device: "d", Seq: seq, Puts: []ObjectRow{e.pack(Tags, noise(seq, 100))}})
	}
	if err := change(1); err != nil { // lets the file grow
		t.Fatal(err)
	}
	fd := int(e.x.file.Fd())
	kept := must(unix.Dup(fd))(t)
	defer unix.Close(kept)
	null := must(os.OpenFile(os.DevNull, os.O_RDWR, 0))(t) // takes every write, and refuses to sync
	defer null.Close()
	if err := unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	err := change(2)
	if derr := unix.Dup3(kept, fd, unix.O_CLOEXEC); derr != nil {
		t.Fatal(derr)
	}
	if !errors.Is(err, unix.EINVAL) {
		t.Fatalf("a failed sync: %v", err)
	}
	if err := change(2); err == nil {
		t.Error("a change after a failed sync was accepted")
	}
	e.x.Close()
	e.x = must(OpenIndex(e.path))(t)
	if err := change(2); err != nil {
		t.Errorf("after opening anew: %v", err)
	}
}
