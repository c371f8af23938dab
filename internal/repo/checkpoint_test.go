package repo

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// stateOf makes the sorted rows of a library of n tracks.
func stateOf(n int) (rows []Row) {
	for i := range n {
		ref := BlobRef{ID(noise(uint64(i)+7777, 16)), 5_000_000 + int64(i)}
		rows = append(rows, track(uint64(i+2), one(Audio, ref)))
	}
	for i := range n {
		rows = append(rows, NameRow{1, fmt.Sprintf("%06d.flac", i), uint64(i + 2)})
	}
	return rows
}

func yieldRows(rows []Row) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// checkpoint writes a checkpoint commit and gives its uploaded bytes.
func (e *env) checkpoint(rows []Row) (*Commit, int) {
	e.t.Helper()
	uploaded := 0
	known := func(id ID) (ObjectRow, bool, error) { return e.x.ObjectOf(id, Checkpoint) }
	put := func(s *Sealed, row ObjectRow) error {
		uploaded += len(s.Body)
		e.put(s)
		return nil
	}
	blobs, err := BuildCheckpoint(e.t.Context(), e.k, yieldRows(rows), known, put)
	if err != nil {
		e.t.Fatal(err)
	}
	heads, _ := e.x.Heads()
	c := e.commit(&Commit{Kind: CheckpointCommit, Heads: heads, Rows: blobs.Rows, Puts: blobs.Puts})
	if err := e.st.Put(e.t.Context(), HintName(c), []byte("\n")); err != nil {
		e.t.Fatal(err)
	}
	return c, uploaded
}

func TestCheckpoint(t *testing.T) {
	tools.StepByStep(t)
	e := newEnv(t)
	e.commit(&Commit{})
	rows := stateOf(4000)
	_, first := e.checkpoint(rows)
	changed := slices.Clone(rows)
	row := changed[2000].(InodeRow)
	row.Mode = 0o600
	changed[2000] = row
	second, again := e.checkpoint(changed)
	t.Logf("checkpoint of %d rows: %d bytes, the next %d", len(rows), first, again)
	if again > first/4 {
		t.Errorf("a checkpoint with one row changed uploads %d bytes of %d", again, first)
	}
	if len(second.Puts) < 2 {
		t.Error("the second checkpoint does not repeat the first one's packs")
	}

	// A machine that has nothing reads it.
	x := must(OpenIndex(filepath.Join(t.TempDir(), "index")))(t)
	defer x.Close()
	c := must(LatestCheckpoint(t.Context(), e.st, e.k, e.certs))(t)
	if c == nil || c.Name != second.Name {
		t.Fatalf("latest checkpoint %v, want %s", c, second.Name)
	}
	if err := x.Apply(c); err != nil {
		t.Fatal(err)
	}
	r := NewReader(e.counted, e.k, x, t.TempDir(), ReaderOptions{})
	defer r.Close()
	n := 0
	err := ReadCheckpoint(t.Context(), r, c, func(r Row) error {
		if n >= len(changed) || !bytes.Equal(appendRow(nil, r), appendRow(nil, changed[n])) {
			t.Fatalf("row %d is %+v", n, r)
		}
		n++
		return nil
	})
	if err != nil || n != len(changed) {
		t.Fatalf("%d rows, want %d: %v", n, len(changed), err)
	}
	heads, _ := x.Heads()
	if heads[e.d.ID] != second.Head() {
		t.Errorf("heads %v, want %v", heads, second.Head())
	}
}

func TestBuildCheckpointErrors(t *testing.T) {
	e := newEnv(t)
	none := func(ID) (ObjectRow, bool, error) { return ObjectRow{}, false, nil }
	put := func(*Sealed, ObjectRow) error { return nil }
	rows := stateOf(3)
	slices.Reverse(rows)
	if _, err := BuildCheckpoint(t.Context(), e.k, yieldRows(rows), none, put); err == nil {
		t.Error("rows that are not sorted were taken")
	}
	broken := errors.New("broken")
	if _, err := BuildCheckpoint(t.Context(), e.k, func(yield func(Row, error) bool) { yield(nil, broken) }, none, put); !errors.Is(err, broken) {
		t.Errorf("%v, want the iterator's error", err)
	}
	fails := func(*Sealed, ObjectRow) error { return broken }
	if _, err := BuildCheckpoint(t.Context(), e.k, yieldRows(stateOf(3)), none, fails); !errors.Is(err, broken) {
		t.Errorf("%v, want put's error", err)
	}
}

func TestLatestCheckpointDistrustsHints(t *testing.T) {
	e := newEnv(t)
	latest := func() *Commit { return must(LatestCheckpoint(t.Context(), e.st, e.k, e.certs))(t) }
	if c := latest(); c != nil {
		t.Fatalf("%s in an empty repository", c.Name)
	}
	plain := e.commit(&Commit{})
	good, _ := e.checkpoint(stateOf(10))
	bad, _ := e.checkpoint(stateOf(11))
	e.overwrite(bad.Name, flip(e.body(bad.Name), 200))
	ahead := *plain
	ahead.Time = e.clock.AddDate(1, 0, 0)
	e.overwrite(HintName(&ahead), nil) // a hint that leads to no checkpoint
	e.overwrite("checkpoints/9999999999999999-x", nil)
	e.overwrite(HintName(&Commit{Time: ahead.Time, Device: e.d.ID, Seq: 77, Name: commitName(e.d.ID, Head{77, e.head.SHA})}), nil)
	if c := latest(); c == nil || c.Name != good.Name {
		t.Errorf("latest %v, want %s", c, good.Name)
	}
}

func TestReadCheckpointFindsDamage(t *testing.T) {
	e := newEnv(t)
	e.commit(&Commit{})
	c, _ := e.checkpoint(stateOf(100))
	pack := c.Puts[0].Name
	e.overwrite(pack, flip(e.body(pack), 300))
	err := ReadCheckpoint(t.Context(), e.reader(t.TempDir()), c, func(Row) error { return nil })
	wantErr(t, err, ErrCorrupt, pack)
}

// TestCheckpointPacksAreNoLargerThanOthers: the checkpoint of a large library takes the memory of one
// full pack, however long it is.
func TestCheckpointPacksAreNoLargerThanOthers(t *testing.T) {
	e := newEnv(t)
	rows := func(yield func(Row, error) bool) {
		for i := range uint64(110_000) { // of 180 bytes that do not shrink
			if !yield(NameRow{i + 1, base64.StdEncoding.EncodeToString(noise(i, 180)), i + 2}, nil) {
				return
			}
		}
	}
	var sum int
	put := func(s *Sealed, _ ObjectRow) error {
		defer s.Release()
		sum += len(s.Body)
		if fit, _ := bodyFor(largePack); int64(cap(s.Body)) > fit {
			t.Errorf("a pack of %d bytes takes %d, want at most %d", len(s.Body), cap(s.Body), fit)
		}
		return nil
	}
	known := func(ID) (ObjectRow, bool, error) { return ObjectRow{}, false, nil }
	blobs, err := BuildCheckpoint(t.Context(), e.k, rows, known, put)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(blobs.Puts); n != sum/fullCheckpoint+1 || n < 3 {
		t.Errorf("%d packs of %d bytes", n, sum)
	}
}
