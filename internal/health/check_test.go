package health

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
)

// reading counts what is read of each object, and fails once it was told to.
type reading struct {
	*mem.Store
	mu   sync.Mutex
	gets map[string]int
	stop func(n int) error // after n readings
}

func (r *reading) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		if err := r.stop(len(r.gets)); err != nil {
			return nil, err
		}
	}
	r.gets[name]++
	return r.Store.Get(ctx, name, off, n)
}

// bucket is a repository of some audio objects of one commit.
type bucket struct {
	o     Options
	st    *reading
	names []string
}

func newBucket(t *testing.T, objects int) *bucket {
	t.Helper()
	st := &reading{Store: mem.New(), gets: map[string]int{}}
	recovery, err := repo.NewRecoveryKey()
	fatal(t, err)
	k, root, err := repo.Create(t.Context(), st, recovery)
	fatal(t, err)
	d, err := repo.Enrol(t.Context(), st, k, root, "host")
	fatal(t, err)
	x, err := repo.OpenIndex(filepath.Join(t.TempDir(), "index"))
	fatal(t, err)
	t.Cleanup(func() { x.Close() })
	b := &bucket{st: st, o: Options{Store: st, Keys: k, Index: x, DB: openDB(t)}}
	repoHash, err := repo.RepoHash(t.Context(), st, k)
	fatal(t, err)
	c := &repo.Commit{Kind: repo.Changes, Seq: 1, Time: time.Now(), Repo: repoHash}
	noise := rand.NewChaCha8([32]byte{7})
	for range objects {
		blob := make([]byte, 20_000)
		_, _ = noise.Read(blob)
		s, row, err := repo.SealAudio(k, repo.Blob{ID: k.BlobID(blob), Data: blob})
		fatal(t, err)
		fatal(t, st.Put(t.Context(), s.Name, s.Body))
		c.Puts = append(c.Puts, row)
		b.names = append(b.names, row.Name)
	}
	s, err := repo.EncodeCommit(k, d, c)
	fatal(t, err)
	fatal(t, st.Put(t.Context(), s.Name, s.Body))
	fatal(t, x.Apply(c))
	clear(st.gets)
	return b
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bucket) body(t *testing.T, name string) []byte {
	t.Helper()
	r, err := b.st.Store.Get(t.Context(), name, 0, -1)
	fatal(t, err)
	defer r.Close()
	body, err := io.ReadAll(r)
	fatal(t, err)
	return body
}

// TestCheckFindsAndForgives: what is damaged, cut short or missing is found by N
// runs of one N-th, each once, and is well again once it was put back.
func TestCheckFindsAndForgives(t *testing.T) {
	b := newBucket(t, 40)
	flipped, cut, gone := b.names[3], b.names[17], b.names[31]
	whole := map[string][]byte{}
	for _, name := range []string{flipped, cut, gone} {
		whole[name] = b.body(t, name)
	}
	// What is condemned is nobody's loss any more.
	c := &repo.Commit{Kind: repo.Changes, Seq: 2, Device: "0123456789abcdef", Condemned: []repo.CondemnRow{{Name: b.names[8], Size: 1, Why: "test"}}}
	fatal(t, b.o.Index.Apply(c))
	fatal(t, b.st.Delete(t.Context(), b.names[8]))
	harmed := append([]byte(nil), whole[flipped]...)
	harmed[9999] ^= 1
	fatal(t, b.st.Put(t.Context(), flipped, harmed))
	fatal(t, b.st.Put(t.Context(), cut, whole[cut][:5000]))
	fatal(t, b.st.Delete(t.Context(), gone))

	b.o.Share = Share{Part: 4}
	for range 4 {
		if _, err := b.o.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	bad, err := b.o.DB.Bad()
	fatal(t, err)
	got := map[string]bool{}
	for _, f := range bad {
		got[f.Object] = true
	}
	if len(bad) != 3 || !got[flipped] || !got[cut] || !got[gone] {
		t.Fatalf("found %+v", bad)
	}
	for name, result := range map[string]Result{flipped: Damaged, cut: Damaged, gone: Missing, b.names[0]: Good} {
		r, err := b.o.DB.Of(name)
		if last, ok := r.Last(); err != nil || !ok || last.Result != result {
			t.Errorf("%s is %v, want %v; %v", name, last.Result, result, err)
		}
	}
	for name, body := range whole {
		fatal(t, b.st.Put(t.Context(), name, body))
	}
	b.o.Share = Share{}
	if r, err := b.o.Run(t.Context()); err != nil || r.Read != 39 || len(r.Bad) > 0 || r.Never > 0 {
		t.Errorf("after they were put back: %+v, %v", r, err)
	}
	if bad, err := b.o.DB.Bad(); err != nil || len(bad) > 0 {
		t.Errorf("still bad: %+v, %v", bad, err)
	}
}

// TestRequestsOfANight: a part costs the listing and a request an object, whatever
// the log is.
func TestRequestsOfANight(t *testing.T) {
	b := newBucket(t, 90)
	counted := store.Count(b.st)
	b.o.Store, b.o.Share = counted, Share{Part: 30}
	r, err := b.o.Run(t.Context())
	fatal(t, err)
	n := counted.Counts()
	if r.Read != 3 || n.Gets != r.Read || n.Lists > 2 || n.Stats+n.Puts+n.Deletes > 0 {
		t.Errorf("%d objects were read with %+v", r.Read, n)
	}
}

// TestInterruptedCheckGoesOn: what was read before a check ended early is not read
// again before all the rest was, whatever ended it.
func TestInterruptedCheckGoesOn(t *testing.T) {
	b := newBucket(t, 60)
	away := errors.New("away")
	for read := range 4 {
		limit := 15 * read
		b.st.stop = func(n int) error {
			if n >= limit {
				return errors.Join(away, store.ErrUnavailable)
			}
			return nil
		}
		if _, err := b.o.Run(t.Context()); !errors.Is(err, away) {
			t.Fatalf("limit %d: %v", limit, err)
		}
		if bad, err := b.o.DB.Bad(); err != nil || len(bad) > 0 {
			t.Fatalf("a store that is away is damage: %+v, %v", bad, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.st.stop = func(n int) error {
		if n >= 50 {
			cancel()
		}
		return nil
	}
	if _, err := b.o.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	b.st.stop = nil
	b.o.Share = Share{Bytes: 20 * 40_000}
	if r, err := b.o.Run(t.Context()); err != nil || r.Never > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	twice := 0
	for _, n := range b.st.gets {
		twice += n - 1
	}
	if len(b.st.gets) != 60 || twice > 20+1 { // the last run reads some for the second time, and one was cut off
		t.Errorf("%d objects were read, %d readings were of one read before", len(b.st.gets), twice)
	}
}
