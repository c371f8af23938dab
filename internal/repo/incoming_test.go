package repo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/tunesafe/tunesafe/internal/store"
)

// stopping is a store whose bodies wait once they gave so many bytes.
type stopping struct {
	store.Store
	after int64
	goOn  chan struct{}
}

func (s *stopping) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := s.Store.Get(ctx, key, off, n)
	return &stoppingBody{ctx, r, s, s.after - off}, err
}

type stoppingBody struct {
	ctx context.Context
	io.ReadCloser
	s    *stopping
	left int64
}

func (b *stoppingBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		select {
		case <-b.s.goOn:
			b.left = 1 << 40
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// files are those that lie in the folder of packs, however far they came.
func packFiles(t *testing.T, dir string) []string {
	return append(must(filepath.Glob(filepath.Join(dir, "new-*")))(t), must(filepath.Glob(filepath.Join(dir, "????????*????????")))(t)...)
}

// TestFramesAsTheyCome: frames of a pack that comes ahead are read when their bytes are
// here, and the pack is kept if all of it is right.
func TestFramesAsTheyCome(t *testing.T) {
	e := newEnv(t)
	pics := [][]byte{noise(1, 200<<10), noise(2, 200<<10), noise(3, 200<<10)}
	row := e.pack(Art, pics...)
	e.commit(&Commit{})
	good := e.body(row.Name)
	unframe() // outside of the bubbles of time
	for _, damaged := range []bool{false, true} {
		e.t = t
		if damaged {
			e.overwrite(row.Name, flip(good, len(good)-30<<10)) // in the last picture
		}
		e.fresh()
		synctest.Test(t, func(t *testing.T) {
			e.t = t
			s := &stopping{Store: e.counted, after: 320 << 10, goOn: make(chan struct{})}
			dir := filepath.Join(t.TempDir(), "packs")
			r := NewReader(s, e.k, e.x, dir, ReaderOptions{})
			defer r.Close()
			p, is, err := r.Absent(e.k.BlobID(pics[0]))
			if err != nil || !is || p.Name != row.Name {
				t.Fatal(p, is, err)
			}
			brought := make(chan error, 1)
			before := e.counted.Counts().Gets
			go func() { brought <- r.Bring(t.Context(), p) }()
			synctest.Wait()
			if _, is, _ := r.Absent(e.k.BlobID(pics[0])); is {
				t.Error("a pack on its way is absent")
			}
			if got := must(r.Blob(t.Context(), e.k.BlobID(pics[0])))(t); !bytes.Equal(got, pics[0]) {
				t.Error("another picture")
			}
			second := make(chan error, 1)
			go func() {
				got, err := r.Blob(t.Context(), e.k.BlobID(pics[1]))
				if err == nil && !bytes.Equal(got, pics[1]) {
					err = errors.New("another picture")
				}
				second <- err
			}()
			synctest.Wait()
			if len(second) > 0 || len(brought) > 0 {
				t.Error("it is read before it is here")
			}
			close(s.goOn)
			if err := <-second; err != nil {
				t.Error(err)
			}
			err = <-brought
			synctest.Wait()
			if n := e.counted.Counts().Gets - before; n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
			switch files := packFiles(t, dir); {
			case damaged && (!errors.Is(err, ErrCorrupt) || len(files) > 0):
				t.Errorf("a damaged pack: %v, and %v is there", err, files)
			case !damaged && (err != nil || len(files) != 1):
				t.Errorf("%v, and %v is there", err, files)
			}
			if damaged {
				_, err := r.Blob(t.Context(), e.k.BlobID(pics[2]))
				wantErr(t, err, ErrCorrupt, row.Name)
			}
		})
	}
}

// TestGivenUp: a pack that comes ahead is given up when its ctx ends, and nothing is left
// of it, unless somebody waits for it by then.
func TestGivenUp(t *testing.T) {
	e := newEnv(t)
	pics := [][]byte{noise(1, 200<<10), noise(2, 200<<10)}
	e.pack(Art, pics...)
	e.commit(&Commit{})
	unframe() // outside of the bubbles of time
	for _, awaited := range []bool{false, true} {
		e.t = t
		e.fresh()
		synctest.Test(t, func(t *testing.T) {
			e.t = t
			s := &stopping{Store: e.st, after: 50 << 10, goOn: make(chan struct{})}
			dir := filepath.Join(t.TempDir(), "packs")
			r := NewReader(s, e.k, e.x, dir, ReaderOptions{})
			defer r.Close()
			p, _, err := r.Absent(e.k.BlobID(pics[0]))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			brought, read := make(chan error, 1), make(chan error, 1)
			go func() { brought <- r.Bring(ctx, p) }()
			synctest.Wait()
			if awaited {
				go func() {
					_, err := r.Blob(t.Context(), e.k.BlobID(pics[0]))
					read <- err
				}()
				synctest.Wait()
			}
			cancel()
			synctest.Wait()
			if files := packFiles(t, dir); awaited != (len(files) == 1) || awaited != (len(brought) == 0) {
				t.Errorf("awaited %v: %v is there, ended %v", awaited, files, len(brought) > 0)
			}
			close(s.goOn)
			if err := <-brought; awaited != (err == nil) {
				t.Errorf("awaited %v: %v", awaited, err)
			}
			if awaited {
				if err := <-read; err != nil {
					t.Error(err)
				}
			}
			if _, err := r.Blob(t.Context(), e.k.BlobID(pics[1])); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFirstFrameIsNotAskedForTwice: what came with the first frame of a pack, alone, is not
// fetched again with the rest, wherever it lies.
func TestFirstFrameIsNotAskedForTwice(t *testing.T) {
	e := newEnv(t)
	pics := [][]byte{noise(1, 300<<10), noise(2, 300<<10), noise(3, 300<<10)}
	row := e.pack(Art, pics...)
	e.commit(&Commit{})
	for first, want := range []int64{2, 4, 3} { // the header alone, and what lies before it and behind
		e.fresh()
		r := e.reader(t.TempDir())
		before := e.counted.Counts()
		must(r.Blob(t.Context(), e.k.BlobID(pics[first])))(t)
		if err := r.Bring(t.Context(), Pack{row.Name, row.Kind, row.Size}); err != nil {
			t.Fatal(err)
		}
		for i, p := range pics {
			if got := must(r.Blob(t.Context(), e.k.BlobID(p)))(t); !bytes.Equal(got, p) {
				t.Errorf("another picture %d", i)
			}
		}
		after := e.counted.Counts()
		gets, n := after.Gets-before.Gets, after.DownloadedBytes-before.DownloadedBytes
		if first > 0 {
			n -= pinnedSize
		}
		if gets != want || n != row.Size {
			t.Errorf("picture %d first: %d requests and %d bytes for a pack of %d, want %d", first, gets, n, row.Size, want)
		}
	}
}

// wholeStops is a store of which only what is long waits.
type wholeStops struct{ stopping }

func (s *wholeStops) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if n < 1<<20 {
		return s.Store.Get(ctx, key, off, n)
	}
	return s.stopping.Get(ctx, key, off, n)
}

// TestOneFrameFarAhead: somebody who waits for a frame far behind what came of a pack gets it
// at once, alone. The next one waits for the pack, as all that comes so comes twice; and so does
// the first, if one came alone before the pack was sent for.
func TestOneFrameFarAhead(t *testing.T) {
	e := newEnv(t)
	var pics [][]byte
	for i := range 16 {
		pics = append(pics, noise(uint64(i), 200<<10))
	}
	row := e.pack(Art, pics...)
	e.commit(&Commit{})
	unframe() // outside of the bubbles of time
	for _, before := range []bool{false, true} {
		e.t = t
		e.fresh()
		synctest.Test(t, func(t *testing.T) {
			e.t = t
			s := &wholeStops{stopping{Store: e.counted, after: 300 << 10, goOn: make(chan struct{})}}
			r := NewReader(s, e.k, e.x, t.TempDir(), ReaderOptions{})
			defer r.Close()
			if before {
				must(r.Blob(t.Context(), e.k.BlobID(pics[0])))(t)
			}
			brought := make(chan error, 1)
			go func() { brought <- r.Bring(t.Context(), Pack{row.Name, row.Kind, row.Size}) }()
			synctest.Wait()
			came := make(chan int, len(pics))
			for _, i := range []int{10, 15} {
				go func() {
					if got, err := r.Blob(t.Context(), e.k.BlobID(pics[i])); err != nil || !bytes.Equal(got, pics[i]) {
						t.Errorf("picture %d: %v", i, err)
					}
					came <- i
				}()
				synctest.Wait()
			}
			if n, want := len(came), map[bool]int{false: 1, true: 0}[before]; n != want {
				t.Errorf("%d pictures came before the pack (one before it was sent for: %v), want %d", n, before, want)
			}
			close(s.goOn)
			if err := <-brought; err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if len(came) != 2 {
				t.Errorf("%d pictures came, want 2", len(came))
			}
		})
	}
}
