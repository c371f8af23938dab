package repo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/singleflight"
)

// growingFrame is the beginning of a frame that is on its way from the bucket. What does not
// shrink, as pictures, lies in its frame as it is: who plays a track on a slow line need
// not wait for the end of the picture before it.
type growingFrame struct {
	mu      sync.Mutex
	plain   []byte        // as far as it is known; written behind its end alone
	blocks  rawBlocks     // of one goroutine
	changed chan struct{} // closed when plain is longer

	followers int
	needed    bool               // somebody wants all of it
	stop      context.CancelFunc // ends the request
}

// errLeft ends a request for a frame that nobody follows any more. Who joined meanwhile
// asks again.
var errLeft = errors.New("nobody waits for it")

// join and leave count who follows. The last to leave ends the request.
func (g *growingFrame) join() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.followers++
}

func (g *growingFrame) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.followers--; g.followers == 0 && !g.needed && g.stop != nil {
		g.stop()
	}
}

// need keeps the request whoever leaves.
func (g *growingFrame) need() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.needed = true
}

// take looks at the packed bytes that have come of a frame of size bytes.
func (g *growingFrame) take(packed []byte, size int64) {
	for {
		p := g.blocks.next(packed)
		if len(p) == 0 {
			return
		}
		g.mu.Lock()
		if g.plain == nil {
			g.plain = make([]byte, 0, size)
		}
		if int64(len(g.plain)+len(p)) > size {
			g.mu.Unlock()
			return // it is malformed, as who unpacks it will say
		}
		g.plain = append(g.plain, p...)
		close(g.changed)
		g.changed = make(chan struct{})
		g.mu.Unlock()
	}
}

// sofar returns what is known of the frame, and what is closed when that is more.
func (g *growingFrame) sofar() ([]byte, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.plain, g.changed
}

// rawBlocks finds the bytes that a zstd frame has as they are, from its beginning to
// the first block that is packed (RFC 8878 §3.1.1.2). It may be shown the same again.
type rawBlocks struct {
	at   int  // in the frame, where it looks on
	left int  // bytes of the block there
	over bool // there is no other behind it, or none that can be told
}

const (
	blockHeader = 3 // bytes: last, kind, size
	rawBlock    = 0 // a kind
)

// next gives the next such bytes of a frame that has come so far.
func (b *rawBlocks) next(packed []byte) []byte {
	if b.at == 0 {
		var h zstd.Header
		if h.Decode(packed) != nil {
			return nil // more must come, or it is malformed
		}
		b.at, b.over = h.HeaderSize, h.Skippable
	}
	for !b.over && b.left == 0 && len(packed) >= b.at+blockHeader {
		head := int(packed[b.at]) | int(packed[b.at+1])<<8 | int(packed[b.at+2])<<16
		if b.over = head&1 != 0; head>>1&3 != rawBlock {
			b.over = true
			return nil
		}
		b.at, b.left = b.at+blockHeader, head>>3
	}
	n := max(0, min(b.left, len(packed)-b.at))
	p := packed[min(b.at, len(packed)):][:n]
	b.at, b.left = b.at+n, b.left-n
	return p
}

// growingFrame is a frame on its way, the same for all who wait for it.
func (r *Reader) growingFrame(key frameKey) *growingFrame {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.growing[key]
	if g == nil {
		g = &growingFrame{changed: make(chan struct{})}
		r.growing[key] = g
	}
	return g
}

// grown forgets it: it is here, or will not come.
func (r *Reader) grown(key frameKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.growing, key)
}

// grow reads a packed frame, whose blobs are size bytes, and shows what is known of it by then.
func (r *Reader) grow(ctx context.Context, g *growingFrame, p *Placement, src source, size int64, seen func(int64)) ([]byte, error) {
	body, err := r.openPlain(ctx, p, src, p.FrameOff, p.FrameLen)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	body.seen = seen
	packed := make([]byte, p.FrameLen)
	for n := 0; n < len(packed); {
		k, err := body.Read(packed[n:])
		n += k
		if err != nil && n < len(packed) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if len(packed) > chunkSize {
			g.take(packed[:n], size)
		}
	}
	return packed, nil
}

// follower reads a blob of a frame as the frame comes. Of a whole blob the last byte
// waits until the blob is found to be what it should.
type follower struct {
	ctx     context.Context //nolint:containedctx // of the reading
	r       *Reader
	p       *Placement
	id      ID
	at, end int64 // in the frame: what is next, and where the reading ends
	whole   bool  // it is the blob
	g       *growingFrame
	wait    <-chan singleflight.Result
	frame   []byte // all of it
	err     error  // final
}

// follow reads n bytes from offset off of a blob of a pack.
func (r *Reader) follow(ctx context.Context, p *Placement, id ID, off, n int64) *follower {
	f := &follower{ctx: ctx, r: r, p: p, id: id, at: p.Off + off, end: p.Off + off + n, whole: n == p.Size}
	key := frameKey{p.Object, p.FrameOff}
	if frame, ok := r.frames.get(key); ok {
		f.frame, f.err = f.check(singleflight.Result{Val: frame})
		return f
	}
	f.begin()
	return f
}

// begin joins who waits for the frame.
func (f *follower) begin() {
	f.leave()
	f.g = f.r.growingFrame(frameKey{f.p.Object, f.p.FrameOff})
	f.g.join()
	f.wait = f.r.frame(f.ctx, f.p)
}

func (f *follower) leave() {
	if f.g != nil {
		f.g.leave()
		f.g = nil
	}
}

// Read implements [io.Reader].
func (f *follower) Read(p []byte) (int, error) {
	for f.err == nil && f.at < f.end {
		if f.frame != nil {
			n := copy(p, f.frame[f.at:f.end])
			f.at += int64(n)
			return n, nil
		}
		plain, more := f.g.sofar()
		if end := min(int64(len(plain)), f.end-1); f.at < end {
			n := copy(p, plain[f.at:end])
			f.at += int64(n)
			return n, nil
		}
		select {
		case <-more:
		case res := <-f.wait:
			if errors.Is(res.Err, errLeft) {
				f.begin()
				continue
			}
			f.frame, f.err = f.check(res)
		case <-f.ctx.Done():
			f.err = f.ctx.Err()
		}
	}
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// check takes the whole frame.
func (f *follower) check(res singleflight.Result) ([]byte, error) {
	if res.Err != nil {
		return nil, res.Err
	}
	frame := res.Val.([]byte)
	blob, err := f.p.in(frame)
	if err == nil && f.whole {
		err = f.r.verifyBlob(f.p, f.id, blob)
	}
	return frame, err
}

// Close implements [io.Closer].
func (f *follower) Close() error {
	if f.err == nil {
		f.err = errClosed
	}
	f.leave()
	return nil
}

var errClosed = errors.New("closed")

// in finds the blob in its frame.
func (p *Placement) in(frame []byte) ([]byte, error) {
	if p.Off > int64(len(frame)) || p.Size > int64(len(frame))-p.Off {
		return nil, fmt.Errorf("%s: %w: a blob lies beyond its frame", p.Object, ErrCorrupt)
	}
	return frame[p.Off : p.Off+p.Size], nil
}
