package cache

import "testing"

// TestCommitTakenInTwice: a program that died between taking in a commit and
// forgetting it takes it in again. What changed in between still waits.
func TestCommitTakenInTwice(t *testing.T) {
	c, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, n := range []string{"a", "b"} {
		if _, err := c.Symlink(Root, n, "old", Owner{}); err != nil {
			t.Fatal(err)
		}
	}
	sent, _, err := c.Pending(100)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Committed(sent, "x:1"); err != nil {
		t.Fatal(err)
	}
	if idle, err := c.Idle(); err != nil || !idle {
		t.Fatalf("idle %v, %v", idle, err)
	}
	if err := c.Unlink(Root, "a"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rename(Root, "b", Root, "c", RenameFlags{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Committed(sent, "x:1"); err != nil {
		t.Fatal(err)
	}
	next, _, err := c.Pending(100)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, n := range next.Names {
		told[n.Name] = n.Ino == 0
	}
	if gone, ok := told["a"]; !gone || !ok {
		t.Error("the bucket does not hear that a is gone")
	}
	if gone, ok := told["b"]; !gone || !ok {
		t.Error("the bucket does not hear that b is gone")
	}
	if gone, ok := told["c"]; gone || !ok {
		t.Error("the bucket does not hear of c")
	}
}

// TestDroppedNamesGoOnWaiting: a name is not sent without its file, and is when
// the file is.
func TestDroppedNamesGoOnWaiting(t *testing.T) {
	c := openCache(t, t.TempDir(), nil)
	defer c.Close()
	a, err := c.Symlink(Root, "a", "x", Owner{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Symlink(Root, "b", "x", Owner{}); err != nil {
		t.Fatal(err)
	}
	b, _, err := c.Pending(10)
	if err != nil || len(b.Names) != 2 {
		t.Fatalf("%v wait, %v", b.Names, err)
	}
	b.DropNames(map[Ino]bool{a.Ino: true})
	if len(b.Names) != 1 || b.Names[0].Name != "b" || len(b.Seqs) != 1 {
		t.Fatalf("left in the batch: %v, %v", b.Names, b.Seqs)
	}
	delete(b.Vers, a.Ino)
	if err := c.Committed(b, "d:1"); err != nil {
		t.Fatal(err)
	}
	if b, _, err = c.Pending(10); err != nil || len(b.Names) != 1 || b.Names[0].Name != "a" {
		t.Fatalf("%v wait in the end, %v", b.Names, err)
	}
}
