package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
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
	db := n.history(t)
	defer db.Close()
	certs, _, err := repo.Devices(t.Context(), n.w.o.Store, n.keys)
	if err == nil {
		err = db.CatchUp(t.Context(), n.w.o.Store, n.keys, certs, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	moments, err := db.Moments()
	if err != nil || len(moments) == 0 || own.Seq == 0 {
		t.Fatal(err, len(moments))
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

func keepLast(n int) Keep { return Keep{Rules: retain.Rules{Last: n}} }

// stopping is a store that stops the program at one request: before it is carried out,
// or after, the answer lost.
type stopping struct {
	store.Store
	mu    gosync.Mutex
	left  int
	after bool
	ops   []string
}

var errStopped = errors.New("the program was stopped")

func (s *stopping) do(op string, f func() error) error {
	s.mu.Lock()
	s.left--
	left := s.left
	s.ops = append(s.ops, op)
	s.mu.Unlock()
	if left < 0 || left == 0 && !s.after {
		return errStopped
	}
	err := f()
	if left == 0 {
		return errStopped
	}
	return err
}

// state says how many requests are left, and which there were.
func (s *stopping) state() (left int, ops []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left, slices.Clone(s.ops)
}

func (s *stopping) Put(ctx context.Context, key string, body []byte) error {
	return s.do("put "+key, func() error { return s.Store.Put(ctx, key, body) })
}

func (s *stopping) Get(ctx context.Context, key string, offset, length int64) (r io.ReadCloser, err error) {
	return r, s.do("get "+key, func() error { r, err = s.Store.Get(ctx, key, offset, length); return err })
}

func (s *stopping) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		var infos []store.Info
		err := s.do("list "+prefix, func() error {
			for info, err := range s.Store.List(ctx, prefix, after) {
				if err != nil {
					return err
				}
				infos = append(infos, info)
			}
			return nil
		})
		for _, info := range infos {
			if err == nil && !yield(info, nil) {
				return
			}
		}
		if err != nil {
			yield(store.Info{}, err)
		}
	}
}

func (s *stopping) Stat(ctx context.Context, key string) (info store.Info, err error) {
	return info, s.do("stat "+key, func() error { info, err = s.Store.Stat(ctx, key); return err })
}

func (s *stopping) Delete(ctx context.Context, key string) error {
	return s.do("delete "+key, func() error { return s.Store.Delete(ctx, key) })
}

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

// TestStoppedAtEachRequest stops the program at each request of a backup with a
// checkpoint and of a prune, before and after it took effect. The bucket is whole each
// time, with every moment that is shown; and the next start ends what was begun.
func TestStoppedAtEachRequest(t *testing.T) {
	w := newWorld(t)
	n := newPruning(t, w, "one")
	n.assemble(w.mem)
	for range 5 {
		n.night(t, 6)
	}
	seed := n.rng.Uint64()
	n.closeFiles()
	base, bucket := n.dir, w.mem
	states, points := 0, 0
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			st := copyBucket(t, bucket)
			stop := &stopping{Store: st, left: at, after: after}
			run := &pruning{device: &device{t: t, dir: copyDir(t, base), keys: n.keys, dev: n.dev, checkpoint: 3, transfers: 1},
				rng: rand.New(rand.NewPCG(seed, 2)), files: map[string][]byte{}, past: map[history.Rev]map[string][]byte{}}
			for rev, files := range n.past {
				run.past[rev] = files
			}
			for name, p := range n.files {
				run.files[name] = p
			}
			run.assemble(stop)
			run.change(6)
			err := run.backup()
			if err == nil {
				_, err = run.prune(t, keepLast(2))
			}
			left, ops := stop.state()
			whole := err == nil && left > 0
			if err != nil && !errors.Is(err, errStopped) {
				t.Fatalf("stop at %d, after %v: %v", at, after, err)
			}
			if op, _, _ := strings.Cut(ops[min(at, len(ops))-1], " "); after && !whole && op != "put" && op != "delete" {
				run.closeFiles() // as before it
				continue
			}
			killed := copyDir(t, run.dir)
			run.closeFiles()
			moments := bucketIsWhole(t, st, n.keys, run.past)
			run.dir = killed
			run.assemble(st)
			if err := run.backup(); err != nil {
				t.Fatalf("stop at %d (%s), after %v: the next backup: %v", at, ops[at-1], after, err)
			}
			run.remember(t)
			p, err := run.prune(t, keepLast(2))
			if err != nil || p.Kept > 0 {
				t.Fatalf("stop at %d (%s), after %v: the next prune: %+v, %v", at, ops[min(at, len(ops))-1], after, p, err)
			}
			if got := bucketIsWhole(t, st, n.keys, run.past); got != 2 || moments < 2 {
				t.Fatalf("stop at %d, after %v: %d moments, then %d, want 2", at, after, moments, got)
			}
			if again, err := run.prune(t, keepLast(2)); err != nil || again.Condemned+again.Deleted > 0 {
				t.Fatalf("stop at %d, after %v: a prune leaves what another takes: %+v, %v", at, after, again, err)
			}
			live := map[string][]byte{}
			for name := range run.files {
				live[name] = run.read(name)
			}
			for name, p := range run.files {
				if !bytes.Equal(live[name], p) {
					t.Fatalf("stop at %d, after %v: %s has other bytes", at, after, name)
				}
			}
			run.closeFiles()
			points++
			states += moments
			if whole {
				break
			}
		}
	}
	t.Logf("figure: stopped at %d points, %d moments read", points, states)
	if points < 40 {
		t.Errorf("%d points only: the backup or the prune did nothing", points)
	}
}

// TestPruneModel: what a prune leaves of random nights is what the kept ones need, by a
// replay of the log, and nothing else.
func TestPruneModel(t *testing.T) {
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

// TestPruneBesideAnother: what one device condemned is not deleted before the other has
// heard, and not at all if that used it meanwhile.
func TestPruneBesideAnother(t *testing.T) {
	w := newWorld(t)
	one := newPruning(t, w, "one")
	one.assemble(w.mem)
	defer func() { one.closeFiles() }()
	song, other := tagged(one.rng, 400_000), tagged(one.rng, 400_000)
	one.write("song", song)
	one.write("other", other)
	if err := one.backup(); err != nil {
		t.Fatal(err)
	}
	two := newPruning(t, w, "two")
	two.assemble(w.mem)
	defer func() { two.closeFiles() }()
	if _, err := two.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.files["last"] = tagged(one.rng, 1000)
	for _, name := range []string{"song", "other"} {
		if err := one.cache.Unlink(cache.Root, name); err != nil {
			t.Fatal(err)
		}
	}
	one.write("last", one.files["last"])
	if err := one.backup(); err != nil {
		t.Fatal(err)
	}
	p, err := one.prune(t, keepLast(1))
	if err != nil || p.Condemned < 2 || p.Deleted > 0 || len(p.WaitsFor) != 1 || p.WaitsFor[0].Name != "two" {
		t.Fatalf("%+v, %v: want nothing deleted before the other heard", p, err)
	}
	if p, err = one.prune(t, keepLast(1)); err != nil || p.Deleted > 0 || p.Kept < 2 {
		t.Fatalf("again: %+v, %v", p, err)
	}
	// The other uses the sound of a song that it believes to be there.
	two.files["copy"] = song
	two.write("copy", song)
	if err := two.backup(); err != nil {
		t.Fatal(err)
	}
	if p, err = one.prune(t, keepLast(1)); err != nil || p.Deleted > 0 || p.TakenBack < 1 {
		t.Fatalf("after it used one: %+v, %v", p, err)
	}
	two.closeFiles()
	two.assemble(w.mem)
	if _, err := two.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := two.backup(); err != nil { // nothing waits, but that it heard
		t.Fatal(err)
	}
	if p, err = one.prune(t, keepLast(1)); err != nil || p.Deleted < 1 || len(p.WaitsFor) > 0 {
		t.Fatalf("after it heard: %+v, %v", p, err)
	}
	bucketIsWhole(t, w.mem, one.keys, nil)
	cold := newPruning(t, w, "cold")
	cold.assemble(w.mem)
	defer cold.closeFiles()
	if _, err := cold.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(cold.read("copy"), song) {
		t.Error("the copy has other bytes")
	}
}

// TestPruneBesideAStranger: the certificate of another device is damaged, or gone. What it
// uses is not known then, and nothing is condemned.
func TestPruneBesideAStranger(t *testing.T) {
	for name, strike := range map[string]func(st store.Store, key string, cert []byte) error{
		"flipped": func(st store.Store, key string, cert []byte) error {
			cert[len(cert)/2] ^= 1
			return st.Put(context.Background(), key, cert)
		},
		"deleted": func(st store.Store, key string, _ []byte) error { return st.Delete(context.Background(), key) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			one, two := newPruning(t, w, "one"), newPruning(t, w, "two")
			one.assemble(w.mem)
			defer one.closeFiles()
			two.assemble(w.mem)
			defer two.closeFiles()
			for i, d := range []*pruning{one, two} {
				d.write(fmt.Sprint("song ", i), tagged(d.rng, 400_000))
				if err := d.backup(); err != nil {
					t.Fatal(err)
				}
			}
			key := "devices/" + two.dev.ID + ".age"
			r, err := w.mem.Get(t.Context(), key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close(), strike(w.mem, key, cert)); err != nil {
				t.Fatal(err)
			}
			before := len(objectsIn(t, w.mem))
			if p, err := one.prune(t, keepLast(1)); !errors.Is(err, ErrStranger) || p.Deleted+p.Condemned > 0 {
				t.Errorf("%+v, %v; want %v", p, err, ErrStranger)
			}
			if n := len(objectsIn(t, w.mem)); n != before {
				t.Errorf("%d objects, then %d", before, n)
			}
		})
	}
}

// TestPruneAsAnotherEnrols: another device comes while a prune runs. It reads the log
// before that says what is condemned, and uses it: nothing is deleted before it heard.
func TestPruneAsAnotherEnrols(t *testing.T) {
	w := newWorld(t)
	f := &faulty{Store: w.mem}
	one := newPruning(t, w, "one")
	one.assemble(f)
	defer one.closeFiles()
	song := tagged(one.rng, 400_000)
	one.write("song", song)
	if err := one.backup(); err != nil {
		t.Fatal(err)
	}
	if err := one.cache.Unlink(cache.Root, "song"); err != nil {
		t.Fatal(err)
	}
	if err := one.backup(); err != nil {
		t.Fatal(err)
	}
	var two *pruning
	f.before = func(key string) error {
		if two == nil && strings.HasPrefix(key, "log/") {
			two = newPruning(t, w, "two")
			two.assemble(w.mem)
			_, err := two.w.Pull(context.Background())
			return err
		}
		return nil
	}
	p, err := one.prune(t, keepLast(1))
	if err != nil || two == nil {
		t.Fatalf("%+v, %v", p, err)
	}
	defer two.closeFiles()
	if p.Condemned < 1 || p.Deleted > 0 || len(p.WaitsFor) != 1 {
		t.Errorf("%+v: want nothing deleted before the other heard", p)
	}
	two.files["copy"] = song
	two.write("copy", song)
	if err := two.backup(); err != nil {
		t.Fatal(err)
	}
	if p, err = one.prune(t, keepLast(1)); err != nil || p.TakenBack < 1 {
		t.Errorf("after it used it: %+v, %v", p, err)
	}
	bucketIsWhole(t, w.mem, one.keys, nil)
}

// appendOnly is a store whose credentials may not delete.
type appendOnly struct{ store.Store }

func (s appendOnly) Delete(_ context.Context, key string) error {
	return fmt.Errorf("delete %s: %w", key, store.ErrDenied)
}

// TestPruneWithoutTheRight: where the store lets nothing be deleted, prune says what it
// could not delete, and one with the right deletes it later.
func TestPruneWithoutTheRight(t *testing.T) {
	w := newWorld(t)
	n := newPruning(t, w, "one")
	n.assemble(appendOnly{w.mem})
	n.files["goes"] = tagged(n.rng, 400_000) // alone in an object
	n.write("goes", n.files["goes"])
	n.night(t, 6)
	if err := n.cache.Unlink(cache.Root, "goes"); err != nil && !errors.Is(err, cache.ErrNotExist) {
		t.Fatal(err)
	}
	delete(n.files, "goes")
	for range 3 {
		n.night(t, 6)
	}
	before := len(objectsIn(t, w.mem))
	p, err := n.prune(t, keepLast(1))
	if err != nil || p.Denied == 0 || p.Denied != p.Condemned || p.Kept != p.Denied || !errors.Is(p.DeniedBy, store.ErrDenied) {
		t.Fatalf("%+v, %v", p, err)
	}
	if n := len(objectsIn(t, w.mem)); n < before {
		t.Error("objects are gone")
	}
	bucketIsWhole(t, w.mem, n.keys, n.past)
	n.closeFiles()
	n.assemble(w.mem)
	defer n.closeFiles()
	again, err := n.prune(t, keepLast(1))
	if err != nil || again.Deleted != p.Denied || again.Kept+again.Denied > 0 {
		t.Fatalf("with the right: %+v, %v", again, err)
	}
	bucketIsWhole(t, w.mem, n.keys, n.past)
}
