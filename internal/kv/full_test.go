package kv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/room"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// small is a filesystem of so many bytes, an empty folder of the database on it,
// and a file that takes all the room left.
func small(t *testing.T, size int64) (dir, fill string) {
	t.Helper()
	at := tools.Tmpfs(t, fmt.Sprintf("size=%d,nr_inodes=100", size))
	dir = filepath.Join(at, "db")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(at, "fill")
}

// fillUp writes zeros until there is no room.
func fillUp(t *testing.T, name string) {
	t.Helper()
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+name, "bs=4k").CombinedOutput(); err == nil {
		t.Fatalf("the disk did not fill up: %s", out)
	}
}

// TestFullDisk: on a disk without any room left rows are changed, merged and
// read for as long as the reserve lasts, which is long for rows that replace
// others; what is refused is refused with ENOSPC; with room all goes on.
func TestFullDisk(t *testing.T) {
	dir, fill := small(t, 48<<20)
	d := open(t, dir)
	const rows = 3000
	for i := range rows {
		put(t, d, fmt.Sprintf("%06d", i), "a row of some length, as those of a drive are")
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	fillUp(t, fill)
	for round := range 20 {
		for i := range rows {
			put(t, d, fmt.Sprintf("%06d", i), fmt.Sprintf("replaced in round %d, at about the same length", round))
		}
		if err := d.Flush(); err != nil {
			t.Fatalf("round %d on a full disk: %v", round, err)
		}
	}
	accepted := 0
	for ; accepted < 1_000_000; accepted++ {
		var b Batch
		b.Put(1, fmt.Appendf(nil, "new%08d", accepted), make([]byte, 200))
		err := d.Apply(&b)
		if err == nil && accepted%2000 == 0 {
			err = d.Flush()
		}
		if room.IsFull(err) && d.Full() == nil {
			continue // no room for the journal; the flusher would merge it now
		}
		if room.IsFull(err) {
			break
		}
		if err != nil {
			t.Fatalf("row %d: %v", accepted, err)
		}
	}
	t.Logf("figure: %d rows of 200 bytes accepted on a full disk", accepted)
	if d.Full() == nil {
		t.Fatal("the reserve never ended")
	}
	crash(d) // with rows that are in journals only
	d = open(t, dir)
	defer func() { d.Close() }()
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if err := d.Flush(); err != nil || d.Full() != nil {
		t.Fatalf("with room again: %v, %v", err, d.Full())
	}
	if got := get(t, d, "000000"); got[:11] != "replaced in" {
		t.Fatalf("a row after all that: %q", got)
	}
	n := 0
	if err := d.Scan(1, nil, nil, func(_, _ []byte) bool { n++; return true }); err != nil || n < accepted {
		t.Fatalf("%d rows of %d accepted, %v", n, accepted, err)
	}
}

// TestFullFromTheStart: without room for any reserve, and without an inode for
// another file, nothing breaks.
func TestFullFromTheStart(t *testing.T) {
	at := tools.Tmpfs(t, "size=256k,nr_inodes=5") // root, folder, database, two journals
	dir := filepath.Join(at, "db")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d := open(t, dir)
	model := map[string]string{}
	refused := 0
	for i := range 12000 {
		k, v := fmt.Sprintf("%05d", i), fmt.Sprintf("value %d", i)
		var b Batch
		b.Put(0, []byte(k), []byte(v))
		switch err := d.Apply(&b); {
		case err == nil:
			model[k] = v
		case room.IsFull(err):
			refused++
		default:
			t.Fatal(err)
		}
		if i%500 == 0 {
			if err := d.Flush(); err != nil && !room.IsFull(err) {
				t.Fatal(err)
			}
		}
		if i == 3000 {
			crash(d)
			d = open(t, dir)
		}
	}
	if refused == 0 || len(model) == 0 {
		t.Fatalf("%d refused, %d accepted", refused, len(model))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", at, "", unix.MS_REMOUNT, "size=64m,nr_inodes=100"); err != nil {
		t.Fatal(err)
	}
	d = open(t, dir)
	defer d.Close()
	for k, v := range model {
		if got := get(t, d, k); got != v {
			t.Fatalf("%s: %q, want %q", k, got, v)
		}
	}
}

// TestSpareHoldsNoOldRecord: what a journal held before it was used again is
// never replayed.
func TestSpareHoldsNoOldRecord(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	for round := range 6 {
		for i := range 50 - 8*round { // fewer each time: old records would follow
			put(t, d, fmt.Sprintf("%03d", i), fmt.Sprintf("%03d", round))
		}
		if round < 5 {
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	crash(d)
	d = open(t, dir)
	defer d.Close()
	for i := range 50 {
		want := fmt.Sprintf("%03d", min((49-i)/8, 5))
		if got := get(t, d, fmt.Sprintf("%03d", i)); got != want {
			t.Fatalf("row %d is of round %s, want %s", i, got, want)
		}
	}
}
