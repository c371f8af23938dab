package sync

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/retain"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestPruneModel: what a prune leaves of random nights is what the kept ones need, by a
// replay of the log, and nothing else.
func TestPruneModel(t *testing.T) {
	tools.StepByStep(t)
	w := newWorld(t)
	n := newPruning(t, w, "one")
	n.checkpoint = 7
	n.assemble(w.mem)
	for range tools.Count(t, 40, 200, 400) {
		n.night(t, 1+n.rng.IntN(6))
		if n.rng.IntN(15) == 0 {
			n.pruneAndCompare(t, 3+n.rng.IntN(8))
		}
	}
	n.pruneAndCompare(t, 5)
	n.closeFiles()
}

func (n *pruning) pruneAndCompare(t *testing.T, keep int) {
	t.Helper()
	before := len(objectsIn(t, n.w.o.Store))
	p, err := n.prune(t, keepLast(keep))
	if err != nil {
		t.Fatal(err)
	}
	moments := bucketIsWhole(t, n.w.o.Store, n.keys, n.past)
	if moments != min(keep, p.Moments) {
		t.Fatalf("%d moments, want %d", moments, keep)
	}
	needed, checkpoints := n.model(t, moments)
	placed := map[repo.ID]string{}
	there := objectsIn(t, n.w.o.Store)
	for _, name := range there {
		row, ok, err := n.index.Object(name)
		if err != nil || !ok {
			t.Fatalf("%s is in the bucket and not in the log: %v", name, err)
		}
		var used, all int64
		for _, b := range row.Blobs() {
			all += b.Size
			if needed[b.ID] {
				used += b.Size
				if other, ok := placed[b.ID]; ok {
					t.Errorf("blob %s lies in %s and in %s", b.ID, other, name)
				}
				placed[b.ID] = name
			}
		}
		if row.Kind == repo.Checkpoint {
			if !checkpoints[name] {
				t.Errorf("%s of an old checkpoint is still there", name)
			}
		} else if 2*used < all {
			t.Errorf("%s has %d bytes of which %d are needed", name, all, used)
		}
	}
	for id := range needed {
		if placed[id] == "" {
			t.Errorf("blob %s is needed and gone", id)
		}
	}
	t.Logf("%d objects, then %d; %+v", before, len(there), p)
}

// model replays the log: what the last moments and the newest two checkpoints need.
func (n *pruning) model(t *testing.T, moments int) (needed map[repo.ID]bool, checkpoints map[string]bool) {
	t.Helper()
	certs, _, err := repo.Devices(t.Context(), n.w.o.Store, n.keys)
	if err != nil {
		t.Fatal(err)
	}
	var states []map[uint64]repo.InodeRow
	var puts [][]repo.ObjectRow
	rows := map[uint64]repo.InodeRow{}
	err = repo.ReadLog(t.Context(), n.w.o.Store, n.keys, certs, nil, func(c *repo.Commit) error {
		if c.Kind == repo.CheckpointCommit {
			puts = append(puts, c.Puts)
		}
		for _, r := range c.Inodes {
			rows[r.Inode] = r
		}
		if len(c.Inodes)+len(c.Names) > 0 {
			state := map[uint64]repo.InodeRow{}
			for ino, r := range rows {
				state[ino] = r
			}
			states = append(states, state)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	needed, checkpoints = map[repo.ID]bool{}, map[string]bool{}
	for _, s := range states[len(states)-moments:] {
		for _, r := range s {
			for _, p := range r.Parts {
				for _, b := range p.Blobs {
					if !b.IsZeros() {
						needed[b.ID] = true
					}
				}
			}
			if r.More != nil {
				needed[r.More.ID] = true
			}
		}
	}
	for _, rows := range puts[max(0, len(puts)-checkpointsKept):] {
		for _, r := range rows {
			checkpoints[r.Name] = true
		}
	}
	return needed, checkpoints
}

// TestPruneDefault: by default tags are kept for ever, and sound that was removed for
// the time that was asked for.
func TestPruneDefault(t *testing.T) {
	w := newWorld(t)
	n := newPruning(t, w, "one")
	n.assemble(w.mem)
	defer n.closeFiles()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	n.w.o.Now = func() time.Time { return now }
	keep := Keep{Sound: retain.Span{Days: 90}}
	for name := range map[string]bool{"stays": true, "goes": true} {
		n.files[name] = tagged(n.rng, 400_000) // alone in an object
		n.write(name, n.files[name])
	}
	backup := func(want int64) Pruned {
		t.Helper()
		if err := n.backup(); err != nil {
			t.Fatal(err)
		}
		p, err := n.prune(t, keep)
		if err != nil || p.Condemned != want || p.Deleted != want || p.Forgotten > 0 {
			t.Fatalf("%s: %+v, %v, want %d objects deleted", now, p, err, want)
		}
		return p
	}
	backup(0)
	if err := n.cache.Unlink(cache.Root, "goes"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // retags
		now = now.Add(time.Hour)
		copy(n.files["stays"][len(n.files["stays"])-8:], fmt.Sprintf("%08d", n.rng.IntN(1e8)))
		n.write("stays", n.files["stays"])
		backup(0)
	}
	now = now.AddDate(0, 0, 89)
	backup(0)
	now = now.AddDate(0, 0, 2)
	db := n.history(t)
	dry, err := n.w.Prune(t.Context(), PruneOptions{Keep: keep, History: db, DryRun: true})
	if err := errors.Join(err, db.Close()); err != nil || dry.Condemned != 1 || dry.Deleted+dry.Kept > 0 {
		t.Fatalf("%+v, %v", dry, err)
	}
	before := len(objectsIn(t, w.mem))
	if p := backup(1); p.CondemnBytes != dry.CondemnBytes || p.DeletedBytes < 300_000 {
		t.Errorf("%+v, said before: %+v", p, dry)
	}
	if n := len(objectsIn(t, w.mem)); n != before-1 {
		t.Errorf("%d objects, then %d", before, n)
	}
	versions := 0
	db = n.history(t)
	defer db.Close()
	for v, err := range db.EachVersion() {
		if err != nil {
			t.Fatal(err)
		}
		if v.Row.Type != "file" {
			continue
		}
		versions++
		for _, p := range v.Row.Parts {
			_, err := n.rd.Blob(t.Context(), p.Blobs[0].ID)
			if gone := err != nil; gone && (p.Kind != repo.Audio || v.To.IsZero()) {
				t.Errorf("%s of a version of %s: %v", p.Kind, v.From, err)
			}
		}
	}
	if versions != 5 {
		t.Errorf("%d versions, want 5", versions)
	}
}
