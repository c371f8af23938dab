package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/tunesafe/tunesafe/internal/store"
)

// ReaderOptions are the sizes of a [Reader]; zero means the default.
type ReaderOptions struct {
	Frames int64 // memory for decoded frames, in bytes; 32 MiB
	Packs  int64 // disk for packs without tags and probes, in bytes; 1 GiB

	// Verified is told of each object of which all bytes were read from the bucket,
	// in whatever pieces, and found to be as they were written. It may be nil; it must
	// not wait for anything, and may be told of several objects at once.
	Verified func(object string)
}

// Reader reads blobs, by as few requests as it can. Sound is streamed: one GET
// of the sealed chunks that cover the range. Of packs the unit is the frame,
// kept in memory; a frame asked of a pack is one GET. Who asks for several of one
// pack within seconds scans the library, and gets the whole pack to the disk;
// who plays track after track does not wait for what he never asked for. What
// many ask for at once is fetched once. Safe to use at once from many goroutines.
//
// Errors: [ErrOwed] if the blob is placed nowhere, [ErrMissing], [ErrCorrupt],
// and those of the store.
type Reader struct {
	st  store.Store
	k   *Keys
	x   *Index
	dir *packDir

	coverage *coverage

	ctx     context.Context // of requests that several wait for; ends with Close
	cancel  context.CancelFunc
	flights singleflight.Group
	streams *lru.Cache[string, openStream] // by object
	frames  *frameCache

	pace     func(context.Context) Pace // of the reading of whole packs
	missed   atomic.Uint64
	pieces   *lru.Cache[string, packPiece] // of packs of which a frame was fetched alone
	fetching sync.WaitGroup                // of packs

	mu       sync.Mutex
	asked    *lru.Cache[string, askedFrames] // by pack
	arriving map[string]*incoming            // packs on their way, by name
	growing  map[frameKey]*growingFrame      // that somebody waits for
}

// askedFrames are the frames of a pack lately fetched alone.
type askedFrames struct {
	since time.Time
	offs  []int64
	alone bool // one of them came so
}

// When a pack is fetched whole.
const (
	framesAlone = 3                // frames of one pack fetched alone
	scanPause   = 10 * time.Second // within this time
	smallPack   = 128 << 10        // bytes; not worth a second request
)

// NewReader makes a reader that finds blobs by x and keeps packs in packDir,
// which it makes. If packDir cannot be used, it keeps none.
func NewReader(st store.Store, k *Keys, x *Index, packDir string, opts ReaderOptions) *Reader {
	if opts.Frames == 0 {
		opts.Frames = 32 << 20
	}
	if opts.Packs == 0 {
		opts.Packs = 1 << 30
	}
	r := &Reader{st: st, k: k, x: x, frames: newFrameCache(opts.Frames), growing: map[frameKey]*growingFrame{}, arriving: map[string]*incoming{},
		pace: func(context.Context) Pace { return anyPace{} }, coverage: newCoverage(opts.Verified)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.dir, _ = openPackDir(packDir, opts.Packs)
	r.streams, _ = lru.New[string, openStream](4096)
	r.asked, _ = lru.New[string, askedFrames](1024)
	r.pieces, _ = lru.New[string, packPiece](piecePacks)
	return r
}

// Close ends requests under way.
func (r *Reader) Close() {
	r.cancel()
	r.fetching.Wait()
}

// Drop gives up the memory that frames of a pack take, of which no more is to be read.
func (r *Reader) Drop(object string) { r.frames.drop(object) }

// Discard gives up all that is kept of a pack that is no more.
func (r *Reader) Discard(object string) {
	r.Drop(object)
	if r.dir != nil && strings.HasPrefix(object, "meta/") {
		for _, kind := range []string{Tags, Art} { // pinned, and not
			r.dir.drop(object, kind)
		}
	}
}

// Blob reads a whole blob and verifies it by its id.
func (r *Reader) Blob(ctx context.Context, id ID) ([]byte, error) {
	p, err := r.lookup(id)
	if err != nil {
		return nil, err
	}
	if p.FrameLen == 0 {
		return r.rawBlob(ctx, id, p)
	}
	blob, err := r.packed(ctx, p)
	if err == nil {
		err = r.verifyBlob(p, id, blob)
	}
	if err != nil {
		return nil, err
	}
	return bytes.Clone(blob), nil
}

// verifyBlob compares a whole blob, which lies at p, with its id.
func (r *Reader) verifyBlob(p *Placement, id ID, blob []byte) error {
	if r.k.BlobID(blob) != id {
		return fmt.Errorf("%s: %w: blob %s is not what lies there", p.Object, ErrCorrupt, id)
	}
	return nil
}

func (r *Reader) lookup(id ID) (*Placement, error) {
	p, ok, err := r.x.lookup(id, true)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", id, ErrOwed)
	}
	if p.Size > MaxBlob {
		return nil, fmt.Errorf("%s: %w: blob of %d bytes", p.Object, ErrCorrupt, p.Size)
	}
	return &p, nil
}

func (r *Reader) rawBlob(ctx context.Context, id ID, p *Placement) ([]byte, error) {
	body, err := r.rawRange(ctx, id, p, 0, p.Size)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	blob := make([]byte, p.Size)
	if _, err := io.ReadFull(body, blob); err != nil {
		return nil, err
	}
	return blob, nil
}

// Range streams n bytes of s from offset off. Every byte is authenticated before
// it is handed out; if the range is the whole blob, the last of it also waits for
// the blob's id. A read error is final.
func (r *Reader) Range(ctx context.Context, s Slice, off, n int64) (io.ReadCloser, error) {
	if off < 0 || n < 0 || n > s.Size || off > s.Size-n {
		return nil, fmt.Errorf("blob %s: no bytes %d to %d of %d", s.ID, off, off+n, s.Size)
	}
	if s.IsZeros() {
		return io.NopCloser(io.LimitReader(zeros{}, n)), nil
	}
	p, err := r.lookup(s.ID)
	if err != nil {
		return nil, err
	}
	if s.Off < 0 || s.Size > p.Size || s.Off > p.Size-s.Size {
		return nil, fmt.Errorf("%s: %w: blob %s has %d bytes, want %d from %d on", p.Object, ErrCorrupt, s.ID, p.Size, s.Size, s.Off)
	}
	off += s.Off
	if p.FrameLen == 0 {
		return r.rawRange(ctx, s.ID, p, off, n)
	}
	if p.FrameLen > chunkSize && n > 0 {
		return r.follow(ctx, p, s.ID, off, n), nil
	}
	blob, err := r.packed(ctx, p)
	if err == nil && n == p.Size {
		err = r.verifyBlob(p, s.ID, blob)
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(blob[off : off+n])), nil
}

// zeros reads as zero bytes without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func (r *Reader) rawRange(ctx context.Context, id ID, p *Placement, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	body, err := r.openPlain(ctx, p, r.bucket(p), p.Off+off, n)
	if err != nil {
		return nil, err
	}
	if n == p.Size {
		body.hash, body.want = r.k.NewHash(), id
	}
	body.seen = r.coverage.of(p)
	return body, nil
}

// bucket reads the object of p from the store.
func (r *Reader) bucket(p *Placement) source {
	return func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
		return r.st.Get(ctx, p.Object, offset, length)
	}
}

// packed gives the bytes of a blob of a pack. They are shared: not to be changed.
func (r *Reader) packed(ctx context.Context, p *Placement) ([]byte, error) {
	for {
		r.mu.Lock()
		if g := r.growing[frameKey{p.Object, p.FrameOff}]; g != nil {
			g.need()
		}
		r.mu.Unlock()
		frame, err := await[[]byte](ctx, r.frame(ctx, p))
		switch {
		case err == nil:
			return p.in(frame)
		case !errors.Is(err, errLeft):
			return nil, err
		}
	}
}

// frame gives the frame that p lies in, once it is here.
func (r *Reader) frame(ctx context.Context, p *Placement) <-chan singleflight.Result {
	if ctx.Value(wholePacks{}) != nil {
		r.scanned(p)
	}
	if frame, ok := r.frames.get(frameKey{p.Object, p.FrameOff}); ok {
		c := make(chan singleflight.Result, 1)
		c <- singleflight.Result{Val: frame}
		return c
	}
	return r.flights.DoChan(fmt.Sprintf("frame %d %s", p.FrameOff, p.Object), func() (any, error) { return r.loadFrame(p) })
}

// loadFrame gets a frame from the pack on the disk, or else from the bucket.
func (r *Reader) loadFrame(p *Placement) ([]byte, error) {
	size, err := r.frameSize(p)
	if err != nil {
		return nil, err
	}
	defer r.grown(frameKey{p.Object, p.FrameOff})
	frame, err := r.localFrame(p, size)
	if err != nil {
		frame, err = r.remoteFrame(p, size)
	}
	if err != nil {
		return nil, err
	}
	if p.Kind == Checkpoint { // read from end to end, once: what is behind is not wanted again
		r.Drop(p.Object)
	}
	r.frames.add(frameKey{p.Object, p.FrameOff}, frame)
	return frame, nil
}

// frameSize is the unpacked length of the frame that p lies in.
func (r *Reader) frameSize(p *Placement) (int64, error) {
	row, ok, err := r.x.Object(p.Object)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fmt.Errorf("%s: %w", p.Object, ErrOwed)
	}
	var off int64
	for _, f := range row.Frames {
		if off == p.FrameOff {
			return f.Size(), nil
		}
		off += f.Packed
	}
	return 0, fmt.Errorf("%s: %w: no frame at %d", p.Object, ErrCorrupt, p.FrameOff)
}

var errNotKept = errors.New("pack is not kept")

// localFrame reads a frame from packDir. A file that fails is dropped.
func (r *Reader) localFrame(p *Placement, size int64) ([]byte, error) {
	if r.dir == nil {
		return nil, errNotKept
	}
	f := r.dir.open(p.Object, p.Kind)
	if f == nil {
		return nil, errNotKept
	}
	defer f.Close()
	header := make([]byte, pinnedSize)
	_, err := f.ReadAt(header, 0)
	if err == nil {
		_, err = r.newHeader(p, header)
	}
	var frame []byte
	if err == nil {
		frame, err = r.readFrame(p, fileSource(f), size, nil)
	}
	if err != nil {
		r.dir.drop(p.Object, p.Kind)
	}
	return frame, err
}

// remoteFrame gets a frame from the bucket: alone, or with the whole pack if
// the pack is being scanned or small.
func (r *Reader) remoteFrame(p *Placement, size int64) ([]byte, error) {
	r.missed.Add(1)
	if in := r.join(p); in != nil {
		frame, err := r.arrivingFrame(p, in, size)
		r.leave(in)
		if !errors.Is(err, errNotKept) {
			return frame, err
		}
	}
	return r.frameAlone(p, size)
}

// Missed counts the frames that were asked for and not here.
func (r *Reader) Missed() uint64 { return r.missed.Load() }

// join gives the pack of a frame on its way, if it is not to be fetched alone. The
// caller leaves it.
func (r *Reader) join(p *Placement) *incoming {
	if r.dir == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.arriving[p.Object]
	switch {
	case in != nil && !in.apart && in.far(p.frameEnd()):
		in.apart = true
		return nil
	case in != nil:
		in.readers++
	case r.alone(p):
		return nil
	default:
		var err error
		if in, err = r.arrive(Pack{p.Object, p.Kind, p.ObjectSize}); err != nil {
			return nil
		}
	}
	in.wanted = true
	return in
}

// alone tells whether the frame is to be fetched without the rest of its pack. r.mu
// is held.
func (r *Reader) alone(p *Placement) bool {
	if p.ObjectSize <= smallPack {
		return false
	}
	a, ok := r.asked.Get(p.Object)
	if now := time.Now(); !ok || now.Sub(a.since) > scanPause {
		a = askedFrames{since: now}
	}
	if !slices.Contains(a.offs, p.FrameOff) {
		a.offs = append(a.offs, p.FrameOff)
	}
	alone := len(a.offs) <= framesAlone
	a.alone = a.alone || alone
	r.asked.Add(p.Object, a)
	return alone
}

type wholePacks struct{}

// WholePacks has what is read with the context come by whole packs, which are kept on
// the disk, as by a scan: it is for who will want more of them, or want them again.
func WholePacks(ctx context.Context) context.Context {
	return context.WithValue(ctx, wholePacks{}, true)
}

// scanned has the next frame of a pack fetched with all of it.
func (r *Reader) scanned(p *Placement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked.Add(p.Object, askedFrames{since: time.Now(), offs: make([]int64, framesAlone+1)})
}

// readFrame reads and unpacks the frame of p from src. seen may be nil.
func (r *Reader) readFrame(p *Placement, src source, size int64, seen func(int64)) ([]byte, error) {
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	g := r.growingFrame(frameKey{p.Object, p.FrameOff})
	g.mu.Lock()
	g.stop = stop
	g.mu.Unlock()
	packed, err := r.grow(ctx, g, p, src, size, seen)
	if err != nil && ctx.Err() != nil && r.ctx.Err() == nil {
		return nil, errLeft
	}
	if err != nil {
		return nil, err
	}
	frame, err := unpackFrame(packed, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", p.Object, ErrCorrupt, err)
	}
	return frame, nil
}

// Keep stores a pack that was just uploaded, so that it need not be fetched.
// Audio objects are not kept.
func (r *Reader) Keep(s *Sealed) error {
	if r.dir == nil || !strings.HasPrefix(s.Name, "meta/") {
		return nil
	}
	row, _, err := r.x.Object(s.Name)
	if err != nil {
		return err
	}
	return r.dir.keep(s.Name, row.Kind, s.Body)
}

// await waits for a shared result, or for ctx.
func await[T any](ctx context.Context, wait <-chan singleflight.Result) (T, error) {
	var none T
	select {
	case res := <-wait:
		if res.Err != nil {
			return none, res.Err
		}
		return res.Val.(T), nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
