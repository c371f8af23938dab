package repo

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tunesafe/tunesafe/internal/store"
)

// sealedBuffers hold one sealed chunk each.
var sealedBuffers = sync.Pool{New: func() any { return new([sealedChunk]byte) }}

// plainReader decrypts a range of an object chunk by chunk as its sealed bytes
// arrive. It hands out authenticated bytes only, and if the range is a whole
// blob, its last chunk only after the id was found right.
type plainReader struct {
	name string
	body io.ReadCloser
	// open gives the object's stream; it may read the header from body.
	open func(body io.Reader) (*stream, error)

	stream *stream
	buf    *[sealedChunk]byte
	out    []byte // decrypted, not yet read; in buf
	chunk  int64  // the next
	size   int64  // plaintext of the object
	skip   int64  // bytes of the next chunk before the range
	left   int64  // bytes of the range not yet in out
	hash   *BlobHash
	want   ID
	err    error

	seen func(chunk int64) // is told of each chunk that authenticated; may be nil
}

// Read implements [io.Reader].
func (r *plainReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 && r.err == nil {
		if r.left == 0 {
			r.err = io.EOF
		} else if err := r.fill(); err != nil {
			r.out, r.err = nil, err
		}
	}
	if len(r.out) == 0 {
		return 0, r.err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill decrypts the next chunk.
func (r *plainReader) fill() (err error) {
	if r.stream == nil {
		if r.stream, err = r.open(r.body); err != nil {
			return err
		}
	}
	start := r.chunk * chunkSize
	plain := min(chunkSize, r.size-start)
	sealed := r.buf[:plain+overhead]
	if err := readAll(r.body, sealed); err != nil {
		return rangeError(r.name, err)
	}
	out, err := r.stream.open(sealed[:0], sealed, r.chunk, start+plain == r.size)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", r.name, ErrCorrupt, err)
	}
	out = out[r.skip:]
	out = out[:min(int64(len(out)), r.left)]
	r.left -= int64(len(out))
	r.skip, r.out = 0, out
	r.chunk++
	if err := r.verify(); err != nil {
		return err
	}
	if r.seen != nil {
		r.seen(r.chunk - 1)
	}
	return nil
}

// verify takes what was just decrypted into the blob's hash.
func (r *plainReader) verify() error {
	if r.hash == nil {
		return nil
	}
	r.hash.Write(r.out)
	if r.left > 0 {
		return nil
	}
	id := r.hash.Sum()
	r.hash = nil
	if id != r.want {
		return fmt.Errorf("%s: %w: blob %s is not what lies there", r.name, ErrCorrupt, r.want)
	}
	return nil
}

// Close implements [io.Closer].
func (r *plainReader) Close() error {
	if r.buf == nil {
		return nil
	}
	if r.err == nil {
		r.err = errors.New("closed")
	}
	r.out = nil
	sealedBuffers.Put(r.buf)
	r.buf = nil
	return r.body.Close()
}

// readAll fills p. A clean end before that is [store.ErrRange]: the object is
// shorter than it should be; other errors are the transport's.
func readAll(r io.Reader, p []byte) error {
	for len(p) > 0 {
		n, err := r.Read(p)
		p = p[n:]
		if len(p) == 0 {
			return nil
		}
		if err == io.EOF {
			return store.ErrRange
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rangeError tells a fault of the object from one of the way to it.
func rangeError(name string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotExist):
		return fmt.Errorf("%s: %w: %w", name, ErrMissing, err)
	case errors.Is(err, store.ErrRange):
		return fmt.Errorf("%s: %w: shorter than it was written", name, ErrCorrupt)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// source is where an object's sealed bytes come from: the bucket or a file.
type source func(ctx context.Context, offset, length int64) (io.ReadCloser, error)

// openPlain begins to read n bytes of plaintext from offset off of the object
// of p, by one call of src, beside which the header may be fetched.
func (r *Reader) openPlain(ctx context.Context, p *Placement, src source, off, n int64) (*plainReader, error) {
	size, err := plainSize(p.ObjectSize)
	if err != nil || off < 0 || n <= 0 || n > size || off > size-n {
		return nil, fmt.Errorf("%s: %w: no bytes %d to %d", p.Object, ErrCorrupt, off, off+n)
	}
	first, last := off/chunkSize, (off+n-1)/chunkSize
	begin := pinnedSize + first*sealedChunk
	end := min(pinnedSize+(last+1)*sealedChunk, p.ObjectSize)
	open, inline, err := r.opener(ctx, p, first == 0)
	if err != nil {
		return nil, err
	}
	if inline {
		begin = 0
	}
	body, err := src(ctx, begin, end-begin)
	if err != nil {
		return nil, rangeError(p.Object, err)
	}
	return &plainReader{
		name: p.Object, body: body, open: open, size: size, buf: sealedBuffers.Get().(*[sealedChunk]byte),
		chunk: first, skip: off - first*chunkSize, left: n,
	}, nil
}

// opener gives what opens the object's stream: at once if its header is here,
// from the same body if the range begins at the start (inline), else by a
// request of its own that is under way when opener returns.
func (r *Reader) opener(ctx context.Context, p *Placement, atStart bool) (open func(io.Reader) (*stream, error), inline bool, err error) {
	if s, ok := r.streams.Get(p.Object); ok && s.head == p.Head {
		return func(io.Reader) (*stream, error) { return s.stream, nil }, false, nil
	}
	header, err := r.x.Header(p.Object)
	if err != nil {
		return nil, false, err
	}
	if header != nil && sha256.Sum256(header) == p.Head {
		s, err := r.believe(p, header)
		return func(io.Reader) (*stream, error) { return s, nil }, false, err
	}
	if atStart {
		return func(body io.Reader) (*stream, error) {
			header := make([]byte, pinnedSize)
			if err := readAll(body, header); err != nil {
				return nil, rangeError(p.Object, err)
			}
			r.coverage.header(p)
			return r.newHeader(p, header)
		}, true, nil
	}
	wait := r.flights.DoChan("header "+p.Object, func() (any, error) { return r.fetchHeader(p) })
	return func(io.Reader) (*stream, error) { return await[*stream](ctx, wait) }, false, nil
}

// fetchHeader reads the first 184 bytes of an object by a request.
func (r *Reader) fetchHeader(p *Placement) (*stream, error) {
	body, err := r.st.Get(r.ctx, p.Object, 0, pinnedSize)
	if err != nil {
		return nil, rangeError(p.Object, err)
	}
	defer body.Close()
	header := make([]byte, pinnedSize)
	if err := readAll(body, header); err != nil {
		return nil, rangeError(p.Object, err)
	}
	r.coverage.header(p)
	return r.newHeader(p, header)
}

// newHeader verifies a header from outside and keeps it.
func (r *Reader) newHeader(p *Placement, header []byte) (*stream, error) {
	if sha256.Sum256(header) != p.Head {
		return nil, fmt.Errorf("%s: %w: its first %d bytes are not those that were written", p.Object, ErrCorrupt, pinnedSize)
	}
	s, err := r.believe(p, header)
	if err != nil {
		return nil, err
	}
	return s, r.x.SetHeader(p.Object, header)
}

// believe opens a header that matches p.Head.
func (r *Reader) believe(p *Placement, header []byte) (*stream, error) {
	s, err := r.k.openHeader(header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", p.Object, ErrCorrupt, err)
	}
	r.streams.Add(p.Object, openStream{s, p.Head})
	return s, nil
}

// openStream is a stream and the header that it was opened by.
type openStream struct {
	stream *stream
	head   [32]byte
}
