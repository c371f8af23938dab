package sync

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"strings"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// simStore is the bucket as one simulated device reaches it: requests fail in
// every way, the program may die before or after each of them, and what goes
// through is held to the order of durability.
type simStore struct {
	store.Store
	s *sim
	d *simDevice
}

// simFaults are shares of requests, in thousandths.
type simFaults struct {
	before  int // refused, not carried out
	after   int // carried out, the answer lost
	damaged int // of reads: cut short or with a flipped byte
	away    bool
}

var simErrors = []error{store.ErrUnavailable, store.ErrUnavailable, store.ErrDenied, store.ErrClock, store.ErrFull, store.ErrNoBucket, errors.New("status 301")}

// draw gives the number that decides what befalls a request: of those of one
// step and folder the nth, for they come in one order, but for reads, which may
// come at once and share their luck.
func (st *simStore) draw(op, key string) int {
	folder, _, _ := strings.Cut(key, "/")
	id := op + " " + folder
	n := 0
	if op != "get" {
		n = st.s.asked[id]
		st.s.asked[id]++
	}
	h := fnv.New64a()
	fmt.Fprint(h, st.s.seed, st.s.n, id, n)
	return int(h.Sum64() >> 11 % 1_000_000)
}

// begin is what happens before a request reaches the bucket.
func (st *simStore) begin(op, key string) (luck int, err error) {
	s := st.s
	luck = st.draw(op, key)
	if s.calm {
		return 1_000_000, nil
	}
	if op != "get" { // which others do meanwhile
		s.meddle(st.d)
		s.point(st.d, op+" before")
	}
	switch {
	case st.d.dead:
		return luck, errDead
	case s.faults.away:
		return luck, fmt.Errorf("%s %s: %w", op, key, store.ErrUnavailable)
	case luck%1000 < s.faults.before:
		return luck, fmt.Errorf("%s %s: %w", op, key, simErrors[luck/1000%len(simErrors)])
	}
	return luck, nil
}

// end is what happens after the bucket has carried a request out.
func (st *simStore) end(op, key string, luck int) error {
	s := st.s
	if s.calm {
		return nil
	}
	s.point(st.d, op+" after")
	if st.d.dead {
		return errDead
	}
	s.meddle(st.d)
	if luck%1000 < s.faults.before+s.faults.after {
		return fmt.Errorf("%s %s: the answer is lost: %w", op, key, store.ErrUnavailable)
	}
	return nil
}

func (st *simStore) Put(ctx context.Context, key string, body []byte) (err error) {
	luck, err := st.begin("put", key)
	if err == nil {
		st.judge(key, body)
		if err = st.Store.Put(ctx, key, body); err == nil {
			err = st.end("put", key, luck)
		}
	}
	if err == nil {
		st.d.acked[key] = true
		st.s.puts++
	} else {
		st.s.failed++
	}
	shown := key
	if !strings.HasPrefix(key, "audio/") { // others hold times of this machine's clock
		shown, _, _ = strings.Cut(key, "/")
	}
	st.s.note("put %s %s %v", st.d.name, shown, err != nil)
	return err
}

// judge holds what is sent to the order of durability.
func (st *simStore) judge(key string, body []byte) {
	s := st.s
	s.t.Helper()
	if !strings.HasPrefix(key, "log/") {
		return
	}
	dev := st.d.dev
	certs := map[string]repo.Certificate{dev.ID: {Device: dev.ID, Name: dev.Name, Key: dev.Key.Public().(ed25519.PublicKey)}}
	c, err := repo.DecodeCommit(s.w.keys, certs, key, body)
	if err != nil {
		s.fatalf("%s: a commit nobody can read: %v", key, err)
	}
	// Only a commit that was acknowledged may find its rows marked clean.
	if c.Kind == repo.Changes && !st.d.acked[key] && s.idle(st.d) {
		s.fatalf("%s is sent while nothing waits", key)
	}
	for _, old := range s.commits[dev.ID] {
		if old.Seq == c.Seq && old.Name != c.Name {
			s.fatalf("two commits number %d: %s and %s", c.Seq, old.Name, c.Name)
		}
	}
	for _, p := range c.Puts {
		if !st.d.acked[p.Name] {
			s.fatalf("%s places %s, which was never acknowledged", key, p.Name)
		}
		for _, b := range p.Blobs() {
			id := p.Kind + string(b.ID[:])
			if first, ok := st.d.sent[id]; ok && first != p.Name && p.Kind != repo.Checkpoint {
				s.fatalf("%s: blob %x of %s was acknowledged in %s and sent again in %s", key, b.ID, p.Kind, first, p.Name)
			}
			st.d.sent[id] = p.Name
			s.placed[b.ID] = true
		}
	}
	for _, r := range c.Inodes {
		ids := []repo.Slice{}
		for _, p := range r.Parts {
			ids = append(ids, p.Blobs...)
		}
		if r.More != nil {
			ids = append(ids, repo.Slice{ID: r.More.ID, Size: r.More.Size})
		}
		for _, b := range ids {
			if !b.IsZeros() && !s.placed[b.ID] {
				s.fatalf("%s: inode %x names blob %x, which no object holds", key, r.Inode, b.ID)
			}
		}
	}
	s.commits[dev.ID] = append(s.commits[dev.ID], c)
}

func (st *simStore) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	luck, err := st.begin("get", key)
	if err != nil {
		return nil, err
	}
	r, err := st.Store.Get(ctx, key, offset, length)
	if err != nil || st.s.calm || (luck/1000)%1000 >= st.s.faults.damaged {
		return r, err
	}
	p, err := io.ReadAll(r)
	if err != nil || len(p) == 0 {
		return nil, err
	}
	if luck%2 == 0 {
		return io.NopCloser(io.MultiReader(bytes.NewReader(p[:len(p)/2]), cutReader{})), nil
	}
	p[len(p)/2] ^= 1
	return io.NopCloser(bytes.NewReader(p)), nil
}

// cutReader is the end of a body that was cut.
type cutReader struct{}

func (cutReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (st *simStore) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		luck, err := st.begin("list", prefix)
		if err != nil {
			yield(store.Info{}, err)
			return
		}
		for info, err := range st.Store.List(ctx, prefix, after) {
			if !yield(info, err) {
				return
			}
		}
		if err := st.end("list", prefix, luck); err != nil {
			yield(store.Info{}, err)
		}
	}
}

func (st *simStore) Stat(ctx context.Context, key string) (store.Info, error) {
	if _, err := st.begin("stat", key); err != nil {
		return store.Info{}, err
	}
	return st.Store.Stat(ctx, key)
}
