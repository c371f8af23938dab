package repo

import (
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
)

// env is a repository in memory with one device and its index.
type env struct {
	t        *testing.T
	st       *mem.Store
	counted  *store.Counter
	recovery *age.X25519Identity
	k        *Keys
	root     ed25519.PrivateKey
	d        *Device
	certs    map[string]Certificate
	x        *Index
	path     string // of the index
	head     Head
	clock    time.Time
}

func newEnv(t *testing.T) *env {
	t.Helper()
	e := &env{t: t, st: mem.New(), clock: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)}
	e.counted = store.Count(e.st)
	e.recovery = must(NewRecoveryKey())(t)
	var err error
	if e.k, e.root, err = Create(t.Context(), e.st, e.recovery); err != nil {
		t.Fatal(err)
	}
	e.d = e.enrol()
	e.path = filepath.Join(t.TempDir(), "index")
	e.x = must(OpenIndex(e.path))(t)
	t.Cleanup(func() { e.x.Close() })
	return e
}

// must unwraps a result that may not fail.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (e *env) enrol() *Device {
	e.t.Helper()
	d := must(Enrol(e.t.Context(), e.st, e.k, e.root, "host"))(e.t)
	certs, bad, err := Devices(e.t.Context(), e.st, e.k)
	if err != nil || len(bad) > 0 {
		e.t.Fatal(err, bad)
	}
	e.certs = certs
	return d
}

func (e *env) put(s *Sealed) {
	e.t.Helper()
	if err := e.st.Put(e.t.Context(), s.Name, s.Body); err != nil {
		e.t.Fatal(err)
	}
}

// audio uploads an audio object of blobs and acknowledges it.
func (e *env) audio(blobs ...[]byte) ObjectRow {
	e.t.Helper()
	var in []Blob
	for _, p := range blobs {
		in = append(in, Blob{e.k.BlobID(p), p})
	}
	s, row, err := SealAudio(e.k, in...)
	if err != nil {
		e.t.Fatal(err)
	}
	e.acked(s, row)
	return row
}

// pack uploads a pack and acknowledges it.
func (e *env) pack(kind string, blobs ...[]byte) ObjectRow {
	e.t.Helper()
	b := NewPack(e.k, kind)
	for _, p := range blobs {
		b.Add(e.k.BlobID(p), p)
	}
	s, row, err := b.Finish()
	if err != nil {
		e.t.Fatal(err)
	}
	e.acked(s, row)
	return row
}

func (e *env) acked(s *Sealed, row ObjectRow) {
	e.t.Helper()
	e.put(s)
	if err := e.x.Acked(row, s.Header); err != nil {
		e.t.Fatal(err)
	}
}

// next fills in what the next commit of the chain of e.d begins with.
func (e *env) next(c *Commit) *Commit {
	e.t.Helper()
	if c.Kind == "" {
		c.Kind = Changes
	}
	e.clock = e.clock.Add(time.Second)
	c.Seq, c.Prev, c.Time = e.head.Seq+1, e.head.SHA, e.clock
	if c.Seq == 1 {
		c.Repo = must(RepoHash(e.t.Context(), e.st, e.k))(e.t)
	}
	return c
}

// commit writes the next commit, placing what was acknowledged.
func (e *env) commit(c *Commit) *Commit {
	e.t.Helper()
	e.next(c)
	c.Puts = append(c.Puts, e.x.Unplaced()...)
	e.put(must(EncodeCommit(e.k, e.d, c))(e.t))
	if err := e.x.Apply(c); err != nil {
		e.t.Fatal(err)
	}
	e.head = c.Head()
	return c
}

func (e *env) reader(dir string) *Reader {
	r := NewReader(e.counted, e.k, e.x, dir, ReaderOptions{})
	e.t.Cleanup(r.Close)
	return r
}

// fresh gives an index that knows the log, but no headers.
func (e *env) fresh() {
	e.t.Helper()
	e.x.Close()
	e.x = must(OpenIndex(filepath.Join(e.t.TempDir(), "index")))(e.t)
	err := ReadLog(e.t.Context(), e.st, e.k, e.certs, nil, func(c *Commit) error { return e.x.Apply(c) })
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) body(name string) []byte {
	e.t.Helper()
	return must(getAll(e.t.Context(), e.st, name, 64<<20))(e.t)
}

func (e *env) overwrite(name string, body []byte) {
	e.t.Helper()
	if err := e.st.Put(e.t.Context(), name, body); err != nil {
		e.t.Fatal(err)
	}
}

// wantErr checks that err is the sentinel and names the object.
func wantErr(t *testing.T, err, sentinel error, name string) {
	t.Helper()
	if !errors.Is(err, sentinel) || !strings.Contains(err.Error(), name) {
		t.Fatalf("error %v, want %v that names %q", err, sentinel, name)
	}
}

// noise gives n bytes that do not compress, the same for the same seed.
func noise(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	p := make([]byte, n)
	r.Read(p)
	return p
}

// track is the row of a file of one part.
func track(inode uint64, parts ...Part) InodeRow {
	row := InodeRow{Inode: inode, Type: "file", Mode: 0o644, UID: 1000, GID: 1000, Mtime: time.Unix(1700000000, 5), Parts: parts}
	for i, p := range parts {
		row.Size += p.Size
		row.Runs = append(row.Runs, Run{i, p.Size})
	}
	return row
}

func one(kind string, ref BlobRef) Part { return Part{kind, ref.Size, []Slice{whole(ref)}} }

func whole(ref BlobRef) Slice { return Slice{ID: ref.ID, Size: ref.Size} }
