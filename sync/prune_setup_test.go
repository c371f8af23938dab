package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/retain"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// pruning is a device whose state after each backup is remembered.
type pruning struct {
	*device
	rng   *rand.Rand
	files map[string][]byte
	past  map[history.Rev]map[string][]byte
}

func newPruning(t *testing.T, w *world, name string) *pruning {
	t.Helper()
	n := &pruning{device: w.device(name), rng: rand.New(rand.NewPCG(uint64(tools.Seed(t)), 1)),
		files: map[string][]byte{}, past: map[history.Rev]map[string][]byte{}}
	n.close()
	n.dir = simDir(t)
	n.checkpoint, n.transfers = 3, 1
	return n
}

// change retags, adds and removes some files.
func (n *pruning) change(changes int) {
	n.t.Helper()
	for range changes {
		name := fmt.Sprintf("track%02d", n.rng.IntN(20))
		old, ok := n.files[name]
		switch {
		case ok && n.rng.IntN(4) == 0:
			if err := n.cache.Unlink(cache.Root, name); err != nil {
				n.t.Fatal(err)
			}
			delete(n.files, name)
			continue
		case ok && n.rng.IntN(4) > 0:
			n.files[name] = slices.Clone(old)
			copy(n.files[name][len(old)-16:], fmt.Sprintf("%016x", n.rng.Uint64()))
		default:
			n.files[name] = tagged(n.rng, 20_000+n.rng.IntN(40_000))
		}
		n.write(name, n.files[name])
	}
}

// tagged is a WAVE file that ends with a tag that changes easily.
func tagged(rng *rand.Rand, samples int) []byte {
	p := wav(rng, samples)
	chunk := append([]byte("LIST\x1c\x00\x00\x00INFOIART\x10\x00\x00\x00"), fmt.Sprintf("%016x", rng.Uint64())...)
	p = append(p, chunk...)
	size := uint32(len(p) - 8)
	copy(p[4:8], []byte{byte(size), byte(size >> 8), byte(size >> 16), byte(size >> 24)})
	return p
}

// backup makes everything safe, in passes of this goroutine.
func (n *pruning) backup() error {
	n.w.waiters++
	n.cache.SettleNow(true)
	defer func() { n.w.waiters--; n.cache.SettleNow(false) }()
	for range 20 {
		_, err := n.w.pass(context.Background())
		n.w.passed(err)
		if err != nil {
			return err
		}
		idle, err := n.cache.Idle()
		if err != nil || idle {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("does not become idle")
}

func (n *pruning) history(t *testing.T) *history.DB {
	t.Helper()
	db, err := history.Open(filepath.Join(n.dir, "history.db"), n.keys.RepoID())
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// moments gives the history with all that the log says.
func (n *pruning) moments(t *testing.T) (*history.DB, []history.Moment) {
	t.Helper()
	db := n.history(t)
	certs, _, err := repo.Devices(t.Context(), n.w.o.Store, n.keys)
	if err == nil {
		err = db.CatchUp(t.Context(), n.w.o.Store, n.keys, certs, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	all, err := db.Moments()
	if err != nil {
		t.Fatal(err)
	}
	return db, all
}

// prune runs one and closes its history.
func (n *pruning) prune(t *testing.T, keep Keep) (Pruned, error) {
	t.Helper()
	db := n.history(t)
	p, err := n.w.Prune(context.Background(), PruneOptions{Keep: keep, History: db})
	return p, errors.Join(err, db.Close())
}

// night changes some files, backs up, and remembers the state.
func (n *pruning) night(t *testing.T, changes int) {
	t.Helper()
	n.change(changes)
	if err := n.backup(); err != nil {
		t.Fatal(err)
	}
	n.remember(t)
}

func (n *pruning) remember(t *testing.T) {
	t.Helper()
	own, err := n.w.ownHead()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for name, p := range n.files {
		files[name] = p
	}
	db, moments := n.moments(t)
	defer db.Close()
	if len(moments) == 0 || own.Seq == 0 {
		t.Fatal(len(moments), own)
	}
	n.past[moments[len(moments)-1].Rev] = files
}

// bucketIsWhole checks the bucket from nothing but itself: it is whole, the drive in it
// and every moment of the past that is shown are what they were. It returns how many
// moments those are.
func bucketIsWhole(t *testing.T, st store.Store, keys *repo.Keys, past map[history.Rev]map[string][]byte) int {
	t.Helper()
	findings, _, err := repo.Check(t.Context(), st, keys, nil, repo.CheckOptions{Read: true})
	if err != nil {
		t.Fatal("check:", err)
	}
	for _, f := range findings {
		if !f.Harmless {
			t.Fatalf("check: %s: %s", f.Object, f.Problem)
		}
	}
	dir := simDir(t)
	index, err := repo.OpenIndex(filepath.Join(dir, "index"))
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	certs, _, err := repo.Devices(t.Context(), st, keys)
	if err == nil {
		err = repo.ReadLog(t.Context(), st, keys, certs, nil, func(c *repo.Commit) error { return index.Apply(c) })
	}
	if err != nil {
		t.Fatal("log:", err)
	}
	rd := repo.NewReader(st, keys, index, filepath.Join(dir, "packs"), repo.ReaderOptions{})
	defer rd.Close()
	db, err := history.Open(filepath.Join(dir, "history"), keys.RepoID())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.CatchUp(t.Context(), st, keys, certs, nil); err != nil {
		t.Fatal(err)
	}
	moments, err := db.Moments()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range moments {
		readMoment(t, db.At(m.Rev), rd, past[m.Rev])
	}
	return len(moments)
}

// readMoment reads all of a moment, and compares it with what it was, if that is known.
func readMoment(t *testing.T, v *history.View, rd *repo.Reader, want map[string][]byte) {
	t.Helper()
	list, err := v.List(history.Root)
	if err != nil || want != nil && len(list) != len(want) {
		t.Fatalf("%s: %d names, want %d: %v", v.Rev(), len(list), len(want), err)
	}
	for _, e := range list {
		row, _, err := v.Inode(e.Inode)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readRow(t.Context(), rd, &row)
		if err != nil {
			t.Fatalf("%s: %s: %v", v.Rev(), e.Name, err)
		}
		if want != nil && !bytes.Equal(got, want[e.Name]) {
			t.Fatalf("%s: %s has other bytes", v.Rev(), e.Name)
		}
	}
}

// readRow puts a file together as FORMAT.md §7 says.
func readRow(ctx context.Context, rd *repo.Reader, row *repo.InodeRow) ([]byte, error) {
	parts := make([][]byte, len(row.Parts))
	for i, p := range row.Parts {
		if p.Owed() {
			return nil, errors.New("owed")
		}
		for _, s := range p.Blobs {
			r, err := rd.Range(ctx, s, 0, s.Size)
			if err != nil {
				return nil, err
			}
			b, err := io.ReadAll(r)
			if err != nil {
				return nil, err
			}
			parts[i] = append(parts[i], b...)
		}
	}
	runs := row.Runs
	if row.More != nil {
		more, err := rd.Blob(ctx, row.More.ID)
		if err != nil {
			return nil, err
		}
		if runs, err = row.JoinRuns(more); err != nil {
			return nil, err
		}
	}
	var out []byte
	for _, r := range runs {
		out = append(out, parts[r.Part][:r.Length]...)
		parts[r.Part] = parts[r.Part][r.Length:]
	}
	return out, nil
}

// objectsIn lists the objects of a bucket that hold parts of files and checkpoints.
func objectsIn(t *testing.T, st store.Store) (names []string) {
	t.Helper()
	for _, folder := range []string{"audio/", "meta/"} {
		for info, err := range st.List(t.Context(), folder, "") {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, info.Key)
		}
	}
	return names
}

// dayLater prunes once more, when nobody can be uploading any more what no commit names:
// then nothing is left that the log does not know.
func (n *pruning) dayLater(t *testing.T) {
	t.Helper()
	n.w.o.Now = func() time.Time { return time.Now().Add(leftoverAge + time.Hour) }
	if p, err := n.prune(t, keepLast(2)); err != nil || p.Condemned != p.Leftovers || p.Kept > 0 {
		t.Fatalf("a day later: %+v, %v", p, err)
	}
	for _, name := range objectsIn(t, n.w.o.Store) {
		if _, ok, err := n.index.Object(name); err != nil || !ok {
			t.Errorf("%s is left, and in no commit: %v", name, err)
		}
	}
}

func keepLast(n int) Keep { return Keep{Rules: retain.Rules{Last: n}} }

// copyBucket makes a bucket with the same objects.
func copyBucket(t *testing.T, from store.Store) store.Store {
	t.Helper()
	to := mem.New()
	for info, err := range from.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := from.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err == nil {
			err = to.Put(t.Context(), info.Key, body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return strict{to}
}

// copyDir copies a home as it is.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := simDir(t)
	err := filepath.WalkDir(from, func(p string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		return copyAsIs(p, filepath.Join(to, rel))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}
