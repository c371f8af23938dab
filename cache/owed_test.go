package cache

import (
	"errors"
	"testing"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// owing makes a file of n bytes whose sound is owed, unread, and cuts it.
func owing(t *testing.T, c *Cache, name string, n int64, rank Rank) Ino {
	t.Helper()
	a, h, err := c.Create(Root, name, 0o644, Owner{}, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt(make([]byte, n), 0); err != nil {
		t.Fatal(err)
	}
	h.Release()
	s, err := c.Snapshot(a.Ino)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Rank = rank
	if err := s.SetRecipe(Recipe{Size: n, Parts: []Part{{Kind: "audio", Size: n, Owed: true}}, Runs: []Run{{Length: n}}}); err != nil {
		t.Fatal(err)
	}
	return a.Ino
}

// TestOwedOrder: what was bought goes first, what can be ripped again last, small
// before large; a row of an older home, which has no value, is of unknown origin.
func TestOwedOrder(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, nil)
	ripped := owing(t, c, "ripped", 10, RankRipped)
	large := owing(t, c, "large", 3000, RankUnknown)
	old := owing(t, c, "old", 2000, RankBought)
	bought := owing(t, c, "bought", 9000, RankBought)
	small := owing(t, c, "small", 1000, RankUnknown)
	var b kv.Batch
	b.Put(bOwed, inoKey(old), nil)
	if err := c.db.Apply(&b); err != nil {
		t.Fatal(err)
	}
	want := []Debt{{bought, RankBought, 9000}, {small, RankUnknown, 1000}, {old, RankUnknown, 2000}, {large, RankUnknown, 3000}, {ripped, RankRipped, 10}}
	for range 2 { // and after a restart
		got, err := c.Owed()
		if err != nil || len(got) != len(want) {
			t.Fatalf("%v, %v; want %v", got, err, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("number %d is %v, want %v", i, got[i], want[i])
			}
		}
		if w, err := c.Waiting(); err != nil || w.Owed != 15010 || w.Sound != 15010 || w.Bytes != 15010 {
			t.Errorf("waiting: %+v, %v", w, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = openCache(t, dir, nil)
	}
	c.Close()
}

// TestWriterVoidsPayment: sound that was read while, or before, somebody opened
// the file for writing is not what the recipe says it is made of.
func TestWriterVoidsPayment(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	ino := owing(t, c, "f", 30, RankUnknown)
	begin := func() *Snapshot {
		s, err := c.Snapshot(ino)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		return s
	}
	must := func(when string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) || (got == nil) != (want == nil) {
			t.Fatalf("paid %s: %v, want %v", when, got, want)
		}
	}
	whole := []Blob{{ID: [16]byte{1}, Size: 10}, {ID: [16]byte{2}, Size: 20}}
	s := begin()
	must("with bytes lacking", s.Paid(0, whole[:1]), ErrChanged)
	must("for a part that is none", s.Paid(1, whole), ErrChanged)
	h, err := c.OpenFile(ino, OpenFlags{Write: true})
	if err != nil {
		t.Fatal(err)
	}
	must("beside a writer", s.Paid(0, whole), ErrChanged)
	h.Release()
	must("after a writer came and went", s.Paid(0, whole), ErrChanged)
	must("before it was cut again", begin().Paid(0, whole), ErrChanged)
	s = begin()
	if err := s.SetRecipe(Recipe{Size: 30, Parts: []Part{{Kind: "audio", Size: 30, Owed: true}}, Runs: []Run{{Length: 30}}}); err != nil {
		t.Fatal(err)
	}
	must("as it is", begin().Paid(0, whole), nil)
	if debts, err := c.Owed(); err != nil || len(debts) != 0 {
		t.Errorf("owed still: %v, %v", debts, err)
	}
	r, current, err := c.RecipeOf(ino)
	if err != nil || !current || len(r.Parts[0].Blobs) != 2 || r.Owes() {
		t.Errorf("the recipe is %+v, %v, %v", r, current, err)
	}
}

// TestSoundIsNoLabour: sound that became safe waits for a commit and is no labour;
// a name is.
func TestSoundIsNoLabour(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	labour := func() bool {
		waits, err := c.LabourWaits()
		if err != nil {
			t.Fatal(err)
		}
		return waits
	}
	commit := func() {
		b, _, err := c.Pending(100)
		if err == nil {
			err = c.Committed(b, "x:1")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ino := owing(t, c, "f", 30, RankUnknown)
	if !labour() {
		t.Fatal("a new file is no labour")
	}
	commit()
	if labour() {
		t.Fatal("labour waits after the commit")
	}
	s, err := c.Snapshot(ino)
	if err == nil {
		s.Close()
		err = s.Paid(0, []Blob{{Size: 30}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if idle, _ := c.Idle(); idle || labour() {
		t.Fatalf("sound became safe: idle %v, labour %v; want neither", idle, labour())
	}
	if err := c.SetXattr(ino, "user.x", []byte("y"), false, false); err != nil {
		t.Fatal(err)
	}
	if !labour() {
		t.Error("an attribute of a file whose sound waits for a commit is no labour")
	}
	commit()
	if idle, _ := c.Idle(); !idle {
		t.Error("something waits")
	}
}
