package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tunesafe/tunesafe/internal/store"
)

func (e *env) ref(p []byte) BlobRef { return BlobRef{e.k.BlobID(p), int64(len(p))} }

// gets gives the number of GETs that fn makes.
func (e *env) gets(fn func()) int64 {
	before := e.counted.Counts().Gets
	fn()
	return e.counted.Counts().Gets - before
}

func (e *env) read(r *Reader, p []byte, off, n int64) ([]byte, error) {
	body, err := r.Range(e.t.Context(), whole(e.ref(p)), off, n)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func TestRanges(t *testing.T) {
	e := newEnv(t)
	a, b := noise(1, 3*chunkSize+500), noise(2, 2*chunkSize)
	tags, data := noise(3, 5000), noise(4, 300<<10)
	e.audio(a, b)
	e.pack(Tags, tags, noise(5, 100))
	e.pack(Data, data)
	e.commit(&Commit{})
	r := e.reader(t.TempDir())
	for _, p := range [][]byte{a, b, tags, data} {
		if got := must(r.Blob(t.Context(), e.k.BlobID(p)))(t); !bytes.Equal(got, p) {
			t.Errorf("blob of %d bytes is another", len(p))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom([][]byte{a, b, tags, data}).Draw(t, "blob")
		edges := rapid.OneOf(rapid.IntRange(0, len(p)), rapid.SampledFrom([]int{0, min(len(p), chunkSize), len(p)}))
		off, end := edges.Draw(t, "off"), edges.Draw(t, "end")
		if off > end {
			off, end = end, off
		}
		got, err := e.read(r, p, int64(off), int64(end-off))
		if err != nil || !bytes.Equal(got, p[off:end]) {
			t.Fatalf("%d to %d: %d bytes, %v", off, end, len(got), err)
		}
	})
	for _, bad := range [][2]int64{{-1, 5}, {0, int64(len(a)) + 1}, {1 << 62, 1 << 62}, {5, -1}} {
		if _, err := e.read(r, a, bad[0], bad[1]); err == nil {
			t.Errorf("range %v was read", bad)
		}
	}
	if _, err := r.Blob(t.Context(), ID{1}); !errors.Is(err, ErrOwed) {
		t.Errorf("%v, want %v", err, ErrOwed)
	}
}

// TestAudioRequests: one GET a range of just its chunks; the header comes from
// the index, the same GET, or one beside it.
func TestAudioRequests(t *testing.T) {
	e := newEnv(t)
	a, b := noise(1, 5*chunkSize), noise(2, 5*chunkSize)
	e.audio(a)
	e.audio(b)
	e.commit(&Commit{})
	r := e.reader(t.TempDir())
	middle := func() { must(e.read(r, a, 2*chunkSize+7, 100))(t) }
	if n := e.gets(middle); n != 1 {
		t.Errorf("%d GETs with the header known, want 1", n)
	}
	if n := e.counted.Counts().DownloadedBytes; n != sealedChunk {
		t.Errorf("%d bytes for 100, want one chunk", n)
	}
	e.fresh()
	r = e.reader(t.TempDir())
	if n := e.gets(middle); n != 2 {
		t.Errorf("%d GETs with the header unknown, want 2", n)
	}
	if n := e.gets(middle); n != 1 {
		t.Errorf("%d GETs afterwards, want 1", n)
	}
	if n := e.gets(func() { must(e.read(r, b, 10, 100))(t) }); n != 1 {
		t.Errorf("%d GETs from the start with the header unknown, want 1", n)
	}
	r = e.reader(t.TempDir()) // the index has kept the headers
	if n := e.gets(func() { middle(); must(e.read(r, b, 3*chunkSize, 10))(t) }); n != 2 {
		t.Errorf("%d GETs of two ranges by a new reader, want 2", n)
	}
}

// TestVerifiedWhole: the reader tells of what it read whole, with the header, in
// whatever pieces, and of nothing else.
func TestVerifiedWhole(t *testing.T) {
	e := newEnv(t)
	a, b := noise(1, 5*chunkSize-100), noise(2, 3*chunkSize)
	e.audio(a)
	e.audio(b)
	e.pack(Tags, noise(3, 5000))
	c := e.commit(&Commit{})
	var told []string
	fresh := func() *Reader {
		e.fresh()
		told = nil
		r := NewReader(e.counted, e.k, e.x, t.TempDir(), ReaderOptions{Verified: func(object string) { told = append(told, object) }})
		t.Cleanup(r.Close)
		return r
	}
	r := fresh()
	must(e.read(r, a, 100, chunkSize))(t)
	must(e.read(r, a, 3*chunkSize+5, 2*chunkSize-200))(t)
	if must(e.read(r, b, 70_000, 10))(t); len(told) > 0 {
		t.Errorf("told of %v, and a chunk is missing", told)
	}
	must(e.read(r, a, 2*chunkSize, chunkSize+1))(t)
	if must(e.read(r, b, 0, int64(len(b))))(t); len(told) != 2 {
		t.Errorf("told of %v, want both", told)
	}
	r = fresh()
	must(r.Blob(t.Context(), e.k.BlobID(noise(3, 5000))))(t)
	r.fetching.Wait() // the frame is handed out before the end of its pack is here
	must(e.read(r, b, 0, int64(len(b))))(t)
	if len(told) != 2 {
		t.Errorf("told of %v, want a pack and an audio object", told)
	}
	r = fresh()
	for _, row := range c.Puts {
		e.overwrite(row.Name, flip(e.body(row.Name), int(row.Size)-20))
	}
	_, err1 := e.read(r, a, 0, int64(len(a)))
	_, err2 := r.Blob(t.Context(), e.k.BlobID(noise(3, 5000)))
	r.fetching.Wait()
	if err1 == nil || err2 == nil || len(told) > 0 {
		t.Errorf("damaged: %v, %v, told of %v", err1, err2, told)
	}
}

// gate holds every Get until it is opened.
type gate struct {
	store.Store
	open    chan struct{}
	waiting atomic.Int64
}

func (g *gate) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	g.waiting.Add(1)
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.Store.Get(ctx, key, off, n)
}

// TestHeaderIsParallel: the request for the header is under way while that for
// the range is.
func TestHeaderIsParallel(t *testing.T) {
	e := newEnv(t)
	a := noise(1, 5*chunkSize)
	e.audio(a)
	e.commit(&Commit{})
	e.fresh()
	synctest.Test(t, func(t *testing.T) {
		e.t = t // its context is of the bubble
		g := &gate{Store: e.st, open: make(chan struct{})}
		r := NewReader(g, e.k, e.x, filepath.Join(t.TempDir(), "p"), ReaderOptions{})
		defer r.Close()
		done := make(chan error, 1)
		go func() { _, err := e.read(r, a, 2*chunkSize, 5); done <- err }()
		synctest.Wait()
		if n := g.waiting.Load(); n != 2 {
			t.Errorf("%d requests at once, want 2", n)
		}
		close(g.open)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestConcurrentFramesAreOneRequest(t *testing.T) {
	e := newEnv(t)
	blobs := [][]byte{noise(1, 50), noise(2, 60), noise(3, 70)}
	e.pack(Tags, blobs...)
	e.commit(&Commit{})
	synctest.Test(t, func(t *testing.T) {
		e.t = t // its context is of the bubble
		g := &gate{Store: e.st, open: make(chan struct{})}
		r := NewReader(g, e.k, e.x, filepath.Join(t.TempDir(), "p"), ReaderOptions{})
		defer r.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { // one who gives up does not take the others along
			if _, err := r.Blob(ctx, e.k.BlobID(blobs[0])); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for i := range 30 {
			wg.Go(func() {
				p := blobs[i%3]
				if got, err := r.Blob(t.Context(), e.k.BlobID(p)); err != nil || !bytes.Equal(got, p) {
					t.Error("another blob", err)
				}
			})
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := g.waiting.Load(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		close(g.open)
		wg.Wait()
		if n := g.waiting.Load(); n != 1 {
			t.Errorf("%d requests in the end, want 1", n)
		}
	})
}

// TestPackRequests: three frames alone, the fourth with the whole pack, from then
// on from the disk, also for the next reader.
func TestPackRequests(t *testing.T) {
	e := newEnv(t)
	art := [][]byte{noise(1, 90<<10), noise(2, 90<<10), noise(3, 90<<10), noise(4, 90<<10), noise(5, 90<<10)}
	e.pack(Art, art...)
	e.commit(&Commit{})
	dir := t.TempDir()
	r := e.reader(dir)
	for i, want := range []int64{1, 1, 1, 1, 0} {
		if n := e.gets(func() { must(r.Blob(t.Context(), e.k.BlobID(art[i])))(t) }); n != want {
			t.Errorf("frame %d: %d GETs, want %d", i, n, want)
		}
	}
	if n := e.gets(func() { must(r.Blob(t.Context(), e.k.BlobID(art[0])))(t) }); n != 0 {
		t.Errorf("%d GETs of a frame in memory", n)
	}
	r.fetching.Wait() // what lies behind the frame
	r = e.reader(dir)
	if n := e.gets(func() { must(r.Blob(t.Context(), e.k.BlobID(art[3])))(t) }); n != 0 {
		t.Errorf("%d GETs of a pack on the disk", n)
	}
	// A damaged file is fetched again.
	files := must(filepath.Glob(filepath.Join(dir, "????????*")))(t)
	if len(files) != 1 {
		t.Fatal(files)
	}
	text := must(os.ReadFile(files[0]))(t)
	for _, at := range []int{20, 90 << 10, len(text) - 1} {
		os.WriteFile(files[0], flip(text, at), 0o600)
		r = e.reader(dir)
		for _, p := range art {
			if got := must(r.Blob(t.Context(), e.k.BlobID(p)))(t); !bytes.Equal(got, p) {
				t.Error("another blob")
			}
		}
		r.fetching.Wait()
	}
}

func TestKeepAndEvict(t *testing.T) {
	e := newEnv(t)
	dir := t.TempDir()
	r := NewReader(e.counted, e.k, e.x, dir, ReaderOptions{Packs: 250 << 10})
	defer r.Close()
	var art [][]byte
	keep := func(kind string, p []byte) {
		b := NewPack(e.k, kind)
		b.Add(e.k.BlobID(p), p)
		s, row, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		e.acked(s, row)
		if err := r.Keep(s); err != nil {
			t.Fatal(err)
		}
	}
	tags := noise(99, 100<<10)
	keep(Tags, tags)
	for i := range 4 {
		art = append(art, noise(uint64(i), 100<<10))
		keep(Art, art[i])
	}
	for _, i := range []int{3, 2, 1, 0} { // the newest are kept
		want := int64(0)
		if i < 2 {
			want = 1
		}
		if n := e.gets(func() { must(r.Blob(t.Context(), e.k.BlobID(art[i])))(t) }); n != want {
			t.Errorf("picture %d: %d GETs, want %d", i, n, want)
		}
	}
	r.fetching.Wait()
	r = NewReader(e.counted, e.k, e.x, dir, ReaderOptions{Packs: 100 << 10})
	defer r.Close()
	if n := e.gets(func() { must(r.Blob(t.Context(), e.k.BlobID(tags)))(t) }); n != 0 {
		t.Errorf("%d GETs of pinned tags", n)
	}
	if n := len(must(filepath.Glob(filepath.Join(dir, "????????*")))(t)); n != 0 {
		t.Errorf("%d packs kept beyond the cap", n)
	}
}

func TestFrameCacheIsBounded(t *testing.T) {
	c := newFrameCache(1000)
	for i := range int64(50) {
		c.add(frameKey{"x", i}, make([]byte, 300))
	}
	if c.used > 1000 || c.lru.Len() != 3 {
		t.Errorf("%d bytes in %d frames", c.used, c.lru.Len())
	}
	c.add(frameKey{"y", 0}, make([]byte, 200))
	if c.drop("x"); c.used != 200 || c.lru.Len() != 1 {
		t.Errorf("%d bytes in %d frames after a pack was dropped", c.used, c.lru.Len())
	}
}

// readEverything reads all of the blobs, whole and in parts. Whatever comes
// must be right; the error of the first that failed is returned.
func readEverything(e *env, blobs [][]byte) (failed error) {
	e.fresh()
	for _, pass := range []int64{1, 3} {
		r := e.reader(e.t.TempDir())
		for _, p := range blobs {
			for i := range pass {
				off := int64(len(p)) * i / pass
				end := int64(len(p)) * (i + 1) / pass
				got, err := e.read(r, p, off, end-off)
				if err != nil {
					failed = err
				}
				if !bytes.HasPrefix(p[off:end], got) {
					e.t.Fatalf("bytes that are not the blob's")
				}
			}
			if got, err := r.Blob(e.t.Context(), e.k.BlobID(p)); err == nil && !bytes.Equal(got, p) {
				e.t.Fatal("a blob that is another")
			}
		}
	}
	return failed
}

// TestDamageIsNeverData harms an audio object and a pack in every region.
func TestDamageIsNeverData(t *testing.T) {
	e := newEnv(t)
	other := newEnv(t)
	sound := [][]byte{noise(1, chunkSize+77), noise(2, chunkSize)}
	pics := [][]byte{noise(3, 100<<10), noise(4, 100<<10)}
	audio, twin := e.audio(sound...), e.audio(noise(5, chunkSize+77), noise(6, chunkSize))
	pack := e.pack(Art, pics...)
	e.commit(&Commit{})
	for _, c := range []struct {
		name  string
		blobs [][]byte
	}{{audio.Name, sound}, {pack.Name, pics}} {
		good := e.body(c.name)
		harmed := map[string][]byte{
			"cut": good[:len(good)-sealedChunk/2], "cut in the header": good[:100], "empty": {},
			"exchanged": e.body(twin.Name), "foreign": must(other.k.Seal("meta", make([]byte, 200<<10)))(t).Body,
		}
		for region, at := range regions(len(good)) {
			if region != "last byte" { // padding of audio, index of packs: read by Check
				harmed[region] = flip(good, at)
			}
		}
		for what, body := range harmed {
			e.overwrite(c.name, body)
			err := readEverything(e, c.blobs)
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s %s: %v", c.name[:5], what, err)
			} else {
				wantErr(t, err, ErrCorrupt, c.name)
			}
		}
		e.st.Delete(t.Context(), c.name)
		wantErr(t, readEverything(e, c.blobs), ErrMissing, c.name)
		e.overwrite(c.name, good)
		if err := readEverything(e, c.blobs); err != nil {
			t.Error(err)
		}
	}
}

// TestLyingRow: a commit that places a blob where another lies.
func TestLyingRow(t *testing.T) {
	e := newEnv(t)
	a, b := noise(1, 1000), noise(2, 1000)
	row := e.audio(a, b)
	packed := e.pack(Tags, a, b)
	x := must(OpenIndex(filepath.Join(t.TempDir(), "x")))(t)
	defer x.Close()
	for _, o := range []ObjectRow{row, packed} {
		refs := o.Blobs()
		refs[0].ID, refs[1].ID = e.k.BlobID([]byte("c")), e.k.BlobID([]byte("d"))
		if o.Raw != nil {
			o.Raw = refs
		} else {
			o.Frames = []Frame{{Packed: o.Frames[0].Packed, Blobs: refs}}
		}
		if err := x.Apply(&Commit{Puts: []ObjectRow{o}}); err != nil {
			t.Fatal(err)
		}
		r := NewReader(e.st, e.k, x, t.TempDir(), ReaderOptions{})
		_, err := r.Blob(t.Context(), refs[0].ID)
		wantErr(t, err, ErrCorrupt, o.Name)
		body, err := r.Range(t.Context(), whole(refs[1]), 0, 1000)
		if err == nil {
			var got []byte
			if got, err = io.ReadAll(body); len(got) > 0 {
				t.Error("bytes of another blob")
			}
		}
		wantErr(t, err, ErrCorrupt, o.Name)
		if err := x.Apply(&Commit{Deleted: []DeletedRow{{Name: o.Name}}}); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
}
