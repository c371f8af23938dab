package kv

import (
	"os"
	"strings"
	"testing"
)

// TestNothingIsReplayedOverAGap: a power loss may take the end of a journal and
// leave the next one, while the first is being merged. What is in the second was
// made of rows that are lost.
func TestNothingIsReplayedOverAGap(t *testing.T) {
	for _, torn := range []bool{false, true} {
		dir := t.TempDir()
		d := open(t, dir)
		put(t, d, "one", "1")
		put(t, d, "two", strings.Repeat("2", 20))
		first := d.log
		next, err := newJournal(dir, first.seq+1, journalRoom(d.opt.Reserve))
		if err != nil {
			t.Fatal(err)
		}
		d.frozen, d.old, d.before = d.active, []*journal{first}, link{first.seq, first.size.Load()}
		d.active, d.log = newOverlay(), next
		put(t, d, "three", "3")
		put(t, d, "four", "4")
		d.frozen = nil // the merge never began
		first.f.Close()
		crash(d)
		want := "1" + strings.Repeat("2", 20) + "34"
		if torn {
			if err := os.Truncate(first.f.Name(), first.size.Load()-1); err != nil {
				t.Fatal(err)
			}
			want = "1---"
		}
		d = open(t, dir)
		if got := get(t, d, "one") + get(t, d, "two") + get(t, d, "three") + get(t, d, "four"); got != want {
			t.Errorf("torn %v: %q, want %q", torn, got, want)
		}
		put(t, d, "five", "5")
		crash(d)
		d = open(t, dir)
		if got := get(t, d, "one") + get(t, d, "five"); got != "15" {
			t.Errorf("torn %v: after another crash %q, want 15", torn, got)
		}
		d.Close()
	}
}

// TestAMergedJournalStaysMerged: the removal of a journal may be lost with the
// power; its rows must not come back over newer ones.
func TestAMergedJournalStaysMerged(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	put(t, d, "row", "old")
	name := d.log.f.Name()
	kept, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	put(t, d, "row", "new")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir)
	defer d.Close()
	if got := get(t, d, "row"); got != "new" {
		t.Errorf("row %q, want new", got)
	}
}
