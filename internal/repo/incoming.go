package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// incoming is a pack on its way to the disk, by one request. Its frames are read as
// their bytes come: each chunk authenticates by itself, as in a frame that is fetched
// alone, and the pack stays only if all of it has the SHA-256 in its name. The file is
// the only copy, so a pack takes no memory however large it is.
type incoming struct {
	object, kind string
	size         int64
	file         *os.File
	cancel       context.CancelFunc

	// Guarded by Reader.mu.
	readers int  // who use file, the goroutine that fetches included
	wanted  bool // somebody waited for a frame of it
	apart   bool // a frame was fetched alone, lately or meanwhile

	mu      sync.Mutex
	cond    sync.Cond // what follows changed
	here    int64     // bytes
	over    bool
	err     error
	waiting int
	hurry   chan struct{} // closed while somebody waits for a frame
}

// Pace has the reading of a pack take its turn among what else goes over the line.
type Pace interface {
	// Next waits until more may be read; hurry is closed when somebody waits for it.
	Next(hurry <-chan struct{}) error
	Took(n int) // so much was
	End()       // no more is
}

// anyPace takes no turns.
type anyPace struct{}

func (anyPace) Next(<-chan struct{}) error { return nil }
func (anyPace) Took(int)                   {}
func (anyPace) End()                       {}

// SetPace has whole packs be read in turns. It is called before anything is read.
func (r *Reader) SetPace(pace func(context.Context) Pace) { r.pace = pace }

// A pack is read up to farAhead bytes before a frame is asked for alone that somebody
// waits for; that comes twice, so of each pack it is one at most.
const (
	farAhead   = 1 << 20
	packBuffer = 64 << 10
)

// Pack is an object that holds small parts.
type Pack struct {
	Name, Kind string
	Size       int64 // in the bucket
}

// Absent gives the pack that a blob lies in, if it is neither kept here nor on its way.
func (r *Reader) Absent(id ID) (p Pack, is bool, err error) {
	at, ok, err := r.x.lookup(id, true)
	if err != nil || !ok || at.FrameLen == 0 || r.dir == nil || r.dir.has(at.Object, at.Kind) {
		return p, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arriving[at.Object] != nil {
		return p, false, nil
	}
	return Pack{at.Object, at.Kind, at.ObjectSize}, true, nil
}

// Bring has a pack come to the disk before anybody asks for a frame of it. It is
// given up when ctx ends, unless somebody waited for a frame of it meanwhile.
func (r *Reader) Bring(ctx context.Context, p Pack) error {
	if r.dir == nil {
		return errNotKept
	}
	r.mu.Lock()
	in, err := r.arrive(p)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	defer r.leave(in)
	stop := context.AfterFunc(ctx, func() { r.giveUp(in) })
	defer stop()
	return in.whole()
}

// arrive gives a pack that is on its way, with one reader more; it sends for it if it
// is not. r.mu is held.
func (r *Reader) arrive(p Pack) (*incoming, error) {
	if in := r.arriving[p.Name]; in != nil {
		in.readers++
		return in, nil
	}
	if _, err := plainSize(p.Size); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", p.Name, ErrCorrupt, err)
	}
	file, err := r.dir.begin(p.Kind, p.Size)
	if err != nil {
		return nil, err
	}
	in := &incoming{object: p.Name, kind: p.Kind, size: p.Size, file: file, hurry: make(chan struct{}), readers: 2}
	in.cond.L = &in.mu
	if a, ok := r.asked.Peek(p.Name); ok {
		in.apart = a.alone && time.Since(a.since) <= scanPause
	}
	ctx, cancel := context.WithCancel(r.ctx)
	in.cancel = cancel
	r.arriving[p.Name] = in
	r.fetching.Go(func() {
		defer cancel()
		turn := r.pace(ctx)
		err := r.fetchPack(ctx, in, turn)
		turn.End()
		r.mu.Lock()
		if r.arriving[p.Name] == in {
			delete(r.arriving, p.Name)
		}
		r.mu.Unlock()
		in.end(err)
		r.leave(in)
	})
	return in, nil
}

// leave ends a reader's use of a pack on its way.
func (r *Reader) leave(in *incoming) {
	r.mu.Lock()
	in.readers--
	last := in.readers == 0
	r.mu.Unlock()
	if last {
		in.file.Close()
	}
}

// giveUp ends the fetching of a pack unless somebody waited for it.
func (r *Reader) giveUp(in *incoming) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.wanted {
		return
	}
	if r.arriving[in.object] == in { // who asks from here on sends for it anew
		delete(r.arriving, in.object)
	}
	in.cancel()
}

// fetchPack brings a pack, verifies it and keeps it.
func (r *Reader) fetchPack(ctx context.Context, in *incoming, turn Pace) (err error) {
	kept := false
	defer func() {
		if !kept {
			os.Remove(in.file.Name())
		}
	}()
	if err := turn.Next(in.hurried()); err != nil {
		return err
	}
	sum, piece := sha256.New(), r.takePiece(in.object)
	if err := r.fetchRange(ctx, in, turn, sum, 0, piece.off); err != nil {
		return err
	}
	if err := in.add(piece.bytes, sum); err != nil {
		return err
	}
	if err := r.fetchRange(ctx, in, turn, sum, piece.off+int64(len(piece.bytes)), in.size); err != nil {
		return err
	}
	if want, err := nameSum(in.object); err != nil || want != [sha256.Size]byte(sum.Sum(nil)) {
		return errors.Join(err, fmt.Errorf("%s: %w: its SHA-256 is not the one in its name", in.object, ErrCorrupt))
	}
	r.coverage.whole(in.object)
	kept = true
	return r.dir.take(in.file.Name(), in.object, in.kind, in.size)
}

// fetchRange brings the bytes of a pack from an offset up to another, which follow what came.
func (r *Reader) fetchRange(ctx context.Context, in *incoming, turn Pace, sum hash.Hash, from, to int64) error {
	if from == to {
		return nil
	}
	body, err := r.st.Get(ctx, in.object, from, to-from)
	if err != nil {
		return rangeError(in.object, err)
	}
	defer body.Close()
	left, buf := to-from, make([]byte, packBuffer)
	for left > 0 {
		if err := turn.Next(in.hurried()); err != nil {
			return err
		}
		p := buf[:min(int64(len(buf)), left)]
		n, err := body.Read(p)
		turn.Took(n)
		left -= int64(n)
		if e := in.add(p[:n], sum); e != nil {
			return e
		}
		if err != nil && left > 0 {
			if err == io.EOF { // it is shorter than it should be
				err = store.ErrRange
			}
			return rangeError(in.object, err)
		}
	}
	return nil
}

// add writes bytes that came behind those before them.
func (in *incoming) add(p []byte, sum hash.Hash) error {
	sum.Write(p)
	if _, err := in.file.Write(p); err != nil {
		return fmt.Errorf("%w: %w", errNotKept, err)
	}
	in.mu.Lock()
	in.here += int64(len(p))
	in.cond.Broadcast()
	in.mu.Unlock()
	return nil
}

func (in *incoming) end(err error) {
	in.mu.Lock()
	in.over, in.err = true, err
	in.cond.Broadcast()
	in.mu.Unlock()
}

// hurried gives a channel that is closed while somebody waits for a frame.
func (in *incoming) hurried() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.hurry
}

// wait waits for a byte behind the first n for somebody who needs it, and tells how many
// are here.
func (in *incoming) wait(n int64) (here int64, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.waiting++; in.waiting == 1 {
		close(in.hurry)
	}
	for in.here <= n && !in.over {
		in.cond.Wait()
	}
	if in.waiting--; in.waiting == 0 {
		in.hurry = make(chan struct{})
	}
	if in.here > n {
		return in.here, nil
	}
	return 0, in.err
}

// whole returns when the pack is verified and kept, or will not be.
func (in *incoming) whole() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.over {
		in.cond.Wait()
	}
	return in.err
}

// far tells whether the pack is not nearly here up to an offset.
func (in *incoming) far(end int64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return end-in.here > farAhead
}

// arrivingFrame reads a frame of a pack that is on its way, as it comes.
func (r *Reader) arrivingFrame(p *Placement, in *incoming, size int64) ([]byte, error) {
	header := make([]byte, pinnedSize)
	if _, err := io.ReadFull(&arriving{in, 0, pinnedSize}, header); err != nil {
		return nil, err
	}
	if _, err := r.newHeader(p, header); err != nil {
		return nil, err
	}
	src := func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(&arriving{in, off, off + n}), nil
	}
	return r.readFrame(p, src, size, nil)
}

// arriving reads a range of a pack on its way; it waits for what is not here yet.
type arriving struct {
	in      *incoming
	at, end int64
}

// Read implements [io.Reader].
func (a *arriving) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), a.end-a.at)]
	if a.at >= a.end {
		return 0, io.EOF
	}
	here, err := a.in.wait(a.at)
	if err != nil {
		return 0, err
	}
	n, err := a.in.file.ReadAt(p[:min(int64(len(p)), here-a.at)], a.at)
	a.at += int64(n)
	return n, err
}

// frameEnd is where the sealed bytes end in which the frame of p lies.
func (p *Placement) frameEnd() int64 {
	last := (p.FrameOff + p.FrameLen - 1) / chunkSize
	return min(pinnedSize+(last+1)*sealedChunk, p.ObjectSize)
}

// packPiece is a piece of a pack as it lies in the bucket, which came with a frame that
// was fetched alone. Should the pack be fetched whole soon, it is not asked for again.
type packPiece struct {
	at    time.Time
	off   int64
	bytes []byte
}

// What is kept of pieces. One amid a pack costs a request more, so it must be worth that.
const (
	piecePacks = 6         // of so many packs
	mostPiece  = 512 << 10 // bytes of each
	leastPiece = 256 << 10 // bytes of one amid a pack
)

// frameAlone fetches a frame without the rest of its pack.
func (r *Reader) frameAlone(p *Placement, size int64) ([]byte, error) {
	piece := packPiece{off: -1}
	var came bytes.Buffer
	from := r.bucket(p)
	src := func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
		body, err := from(ctx, off, n)
		if err != nil || n > mostPiece || off > 0 && n < leastPiece {
			return body, err
		}
		piece.off = off
		came.Grow(int(n))
		return struct {
			io.Reader
			io.Closer
		}{io.TeeReader(body, &came), body}, nil
	}
	frame, err := r.readFrame(p, src, size, r.coverage.of(p))
	if err == nil && piece.off >= 0 {
		piece.at, piece.bytes = time.Now(), came.Bytes()
		r.keepPiece(p.Object, piece)
	}
	return frame, err
}

// keepPiece keeps the longest piece of a pack.
func (r *Reader) keepPiece(object string, piece packPiece) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.pieces.Peek(object); !ok || piece.at.Sub(was.at) > scanPause || len(was.bytes) < len(piece.bytes) {
		r.pieces.Add(object, piece)
	}
}

// takePiece gives what is kept of a pack, which is kept no more.
func (r *Reader) takePiece(object string) packPiece {
	piece, ok := r.pieces.Peek(object)
	r.pieces.Remove(object)
	if !ok || time.Since(piece.at) > scanPause {
		return packPiece{}
	}
	return piece
}
