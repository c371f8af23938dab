package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	gosync "sync"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// stopping is a store that stops the program at one request: before it is carried out,
// or after, the answer lost.
type stopping struct {
	store.Store
	mu    gosync.Mutex
	left  int
	after bool
	ops   []string
	hook  func(n int) // is called before the nth request
}

var errStopped = errors.New("the program was stopped")

func (s *stopping) do(op string, f func() error) error {
	s.mu.Lock()
	s.left--
	left := s.left
	s.ops = append(s.ops, op)
	n := len(s.ops)
	s.mu.Unlock()
	if s.hook != nil {
		s.hook(n)
	}
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

// coversAll looks that what was stopped at each request was all there is to it: a backup that
// ends with a checkpoint, and a prune that copies, condemns, deletes, and says so, in this order.
func coversAll(backup, prune []string, p Pruned) error {
	first := func(ops []string, prefix string) int {
		return slices.IndexFunc(ops, func(op string) bool { return strings.HasPrefix(op, prefix) })
	}
	for _, prefix := range []string{"put audio/", "put meta/", "put log/", "put checkpoints/"} {
		if first(backup, prefix) < 0 {
			return fmt.Errorf("the backup has no %s", prefix)
		}
	}
	object := func(verb string) int { // packs or sound, as the seed has it
		return slices.IndexFunc(prune, func(op string) bool {
			return strings.HasPrefix(op, verb+" audio/") || strings.HasPrefix(op, verb+" meta/")
		})
	}
	copied, said, gone := object("put"), first(prune, "put log/"), object("delete")
	if hint := first(prune, "delete checkpoints/"); p.Rewritten == 0 || p.Forgotten == 0 || copied < 0 || hint < 0 || said < copied || gone < said ||
		!strings.HasPrefix(prune[len(prune)-1], "put log/") {
		return fmt.Errorf("%+v: want copies, a commit that condemns, deletions, and a commit of them: %q", p, prune)
	}
	return nil
}

// TestStoppedAtEachRequest stops the program at each request of a backup with a
// checkpoint and of a prune, before and after it took effect. The bucket is whole each
// time, with every moment that is shown; and the next start ends what was begun.
func TestStoppedAtEachRequest(t *testing.T) {
	tools.StepByStep(t)
	w := newWorld(t)
	n := newPruning(t, w, "one")
	n.checkpoint = 2
	n.assemble(w.mem)
	for range 5 {
		n.night(t, 6)
	}
	n.closeFiles()
	base, bucket := n.dir, w.mem
	changed := func(st store.Store, seed uint64) *pruning {
		run := &pruning{device: &device{t: t, dir: copyDir(t, base), keys: n.keys, dev: n.dev, checkpoint: n.checkpoint, transfers: 1},
			rng: rand.New(rand.NewPCG(seed, 2)), files: maps.Clone(n.files), past: maps.Clone(n.past)}
		run.assemble(st)
		run.change(6)
		return run
	}
	seed := n.rng.Uint64()
	enough := func() error {
		st := &stopping{Store: copyBucket(t, bucket), left: math.MaxInt}
		run := changed(st, seed)
		defer run.closeFiles()
		if err := run.backup(); err != nil {
			t.Fatal(err)
		}
		_, backedUp := st.state()
		p, err := run.prune(t, keepLast(2))
		if err != nil {
			t.Fatal(err)
		}
		_, ops := st.state()
		return coversAll(backedUp, ops[len(backedUp):], p)
	}
	for nights := 5; ; nights++ {
		err := enough()
		if err == nil {
			break
		}
		if nights == 50 {
			t.Fatal(err)
		}
		n.assemble(bucket)
		n.night(t, 6)
		n.closeFiles()
	}
	states, points := 0, 0
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			st := copyBucket(t, bucket)
			stop := &stopping{Store: st, left: at, after: after}
			run := changed(stop, seed)
			err := run.backup()
			_, backedUp := stop.state()
			var pruned Pruned
			if err == nil {
				pruned, err = run.prune(t, keepLast(2))
			}
			left, ops := stop.state()
			whole := err == nil && left > 0
			if whole {
				if err := coversAll(backedUp, ops[len(backedUp):], pruned); err != nil {
					t.Error(err)
				}
			}
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
			run.dayLater(t)
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
