package cache

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// How much of a part of more than bigPart bytes is asked for at once: little for who
	// looks here and there, as scanners do, and twice as much each time for who reads on. He
	// reads from the same answer. Shorter parts of any kind are read whole, and kept while
	// the file is open.
	firstStreamed = 256 << 10
	maxStreamed   = 8 << 20
)

// Version is one version of a file, as it is or once was, open for reading by its
// recipe. It takes what it can from the content that the file has now and the rest from
// the [Fetcher], and keeps nothing of that. ReadAt may be called at once.
type Version struct {
	c      *Cache
	recipe *Recipe
	now    *Now
	ctx    context.Context //nolint:containedctx // of streams that outlive a call; ends with Close
	cancel context.CancelFunc
	whole  bool // it is read from end to end, and nobody waits for it

	mu     sync.Mutex
	ended  stream    // the last one
	layout *layout   // nil until it is needed
	slices [][]int64 // where each slice of a part begins in it
	small  map[int][]byte
	stream *stream
}

// PartError is an error of reading a part of a [Version].
type PartError struct {
	Part Part
	Err  error
}

func (e *PartError) Error() string { return e.Err.Error() }

func (e *PartError) Unwrap() error { return e.Err }

// stream is a part being read on.
type stream struct {
	part   int
	off    int64 // in the part, of the next byte
	window int64
	body   io.ReadCloser
	cancel context.CancelFunc
}

// OpenVersion opens a version of a file by its recipe. Whole tells that all of it will be
// read, from its beginning to its end, and that nobody waits for it.
func (c *Cache) OpenVersion(ino Ino, r *Recipe, whole bool) *Version {
	v := &Version{c: c, recipe: r, now: c.Now(ino, r.Parts), whole: whole, small: map[int][]byte{}}
	v.ctx, v.cancel = context.WithCancel(v.quietly(context.Background()))
	return v
}

// OpenAsCut opens a file as it is now to be read from end to end by its recipe; nil if the
// bucket may not have it all as it is, or all of it is here: [Cache.OpenFile] reads that.
func (c *Cache) OpenAsCut(ino Ino) (*Version, error) {
	if _, ok := c.asRecipe(ino); !ok {
		return nil, nil
	}
	f, err := c.acquire(ino)
	if err != nil {
		return nil, err
	}
	defer c.release(f)
	f.mu.Lock()
	here := f.fed || f.have.Whole
	f.mu.Unlock()
	if here {
		return nil, nil
	}
	r, err := c.recipe(ino)
	if err != nil || slices.ContainsFunc(r.Parts, func(p Part) bool { return p.Size > 0 && len(p.Blobs) == 0 }) {
		return nil, err
	}
	return c.OpenVersion(ino, r, true), nil
}

// quietly makes a context of reading whole versions.
func (v *Version) quietly(ctx context.Context) context.Context {
	if v.whole {
		return Quietly(ctx)
	}
	return ctx
}

// Size is that of the file, in bytes.
func (v *Version) Size() int64 { return v.recipe.Size }

// Parts are those of its recipe.
func (v *Version) Parts() []Part { return v.recipe.Parts }

// Runs are those of its recipe, completed.
func (v *Version) Runs(ctx context.Context) ([]Run, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	err := v.layOut(ctx)
	return v.recipe.Runs, err
}

// Release is Close.
func (v *Version) Release() error { return v.Close() }

// Sound reports whether the file has sound, or parts long enough to be worth not being
// fetched ahead.
func (v *Version) Sound() bool {
	return slices.ContainsFunc(v.recipe.Parts, func(p Part) bool { return p.Kind == "audio" || p.Size > bigPart })
}

// Close ends what is being read.
func (v *Version) Close() error {
	v.cancel()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.endStream()
}

// ReadAt reads as [io.ReaderAt] does. Bytes that cannot be had are an error.
func (v *Version) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if off < 0 {
		return 0, ErrInvalid
	}
	if err := v.layOut(ctx); err != nil {
		return 0, err
	}
	for n < len(p) && off+int64(n) < v.recipe.Size {
		s := v.layout.at(off + int64(n))
		k := min(int64(len(p)-n), s.n)
		if err := v.readPart(ctx, s.part, s.partOff, p[n:n+int(k)]); err != nil {
			return n, &PartError{v.recipe.Parts[s.part], err}
		}
		n += int(k)
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// Part reads a whole part.
func (v *Version) Part(ctx context.Context, i int) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := make([]byte, v.recipe.Parts[i].Size)
	if err := v.readPart(ctx, i, 0, b); err != nil {
		return nil, &PartError{v.recipe.Parts[i], err}
	}
	return b, nil
}

// layOut finds out where each part lies. v.mu is held.
func (v *Version) layOut(ctx context.Context) error {
	if v.layout != nil {
		return nil
	}
	if err := v.c.resolve(ctx, v.recipe); err != nil {
		return err
	}
	l, err := newLayout(*v.recipe)
	if err != nil {
		return err
	}
	v.layout, v.slices = l, make([][]int64, len(v.recipe.Parts))
	for i, p := range v.recipe.Parts {
		var at int64
		for _, b := range p.Blobs {
			v.slices[i] = append(v.slices[i], at)
			at += b.Size
		}
	}
	return nil
}

// readPart fills p from a part, where the file of now has that and it is here from there.
// v.mu is held.
func (v *Version) readPart(ctx context.Context, part int, off int64, p []byte) error {
	for len(p) > 0 {
		n := v.now.ReadAt(part, p, off)
		if n == 0 {
			break
		}
		p, off = p[n:], off+int64(n)
	}
	if len(p) == 0 {
		return nil
	}
	if v.recipe.Parts[part].Size <= bigPart && !v.readOnce(part) {
		whole, ok := v.small[part]
		if !ok {
			var err error
			if whole, err = v.c.readPart(v.quietly(ctx), v.recipe.Parts[part]); err != nil {
				return err
			}
			v.small[part] = whole
		}
		copy(p, whole[off:])
		return nil
	}
	for len(p) > 0 {
		n, err := v.readOn(ctx, part, off, p)
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// readOnce tells of a part that who reads the file through reads in one go.
func (v *Version) readOnce(part int) bool {
	return v.whole && v.layout != nil && len(v.layout.byPart[part]) == 1
}

// readOn reads some bytes of a long part, from the answer that is open if it is at
// that place.
func (v *Version) readOn(ctx context.Context, part int, off int64, p []byte) (int, error) {
	if s := v.stream; s == nil || s.part != part || s.off != off {
		if err := v.begin(part, off); err != nil {
			return 0, err
		}
	}
	stop := context.AfterFunc(ctx, v.stream.cancel)
	n, err := v.stream.body.Read(p)
	v.stream.off += int64(n)
	if stopped := !stop(); stopped || err != nil {
		v.endStream()
	}
	switch {
	case n > 0:
		return n, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case err == nil || errors.Is(err, io.EOF):
		if off < v.recipe.Parts[part].Size {
			return 0, nil // the answer ended; the next begins here
		}
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}

func (v *Version) begin(part int, off int64) error {
	v.endStream()
	window := int64(firstStreamed)
	if v.whole {
		window = everything
	} else if v.ended.part == part && v.ended.off == off {
		window = min(max(2*v.ended.window, firstStreamed), maxStreamed)
	}
	p := v.recipe.Parts[part]
	ctx, cancel := context.WithCancel(v.ctx)
	body, err := v.c.opt.Fetcher.Open(ctx, p, off, min(window, p.Size-off))
	if err != nil {
		cancel()
		return err
	}
	v.stream = &stream{part, off, window, body, cancel}
	return nil
}

func (v *Version) endStream() error {
	if v.stream == nil {
		return nil
	}
	v.ended = *v.stream
	v.stream.cancel()
	err := v.stream.body.Close()
	v.stream = nil
	return err
}

// Lseek finds data and holes as lseek(2) does. Holes are the zeros that the version says
// of that they are nowhere stored.
func (v *Version) Lseek(off int64, whence uint32) (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if off < 0 || off >= v.recipe.Size {
		return 0, unix.ENXIO
	}
	if err := v.layOut(v.ctx); err != nil {
		return 0, err
	}
	for off < v.recipe.Size {
		n, hole := v.alike(off)
		if hole == (whence == unix.SEEK_HOLE) {
			return off, nil
		}
		off += n
	}
	if whence == unix.SEEK_HOLE {
		return v.recipe.Size, nil
	}
	return 0, unix.ENXIO
}

// Zeros tells how many bytes from off on are zeros that are nowhere stored.
func (v *Version) Zeros(ctx context.Context, off int64) (int64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.layOut(ctx); err != nil || off >= v.recipe.Size {
		return 0, err
	}
	n, hole := v.alike(off)
	if !hole {
		n = 0
	}
	return n, nil
}

// alike tells how many bytes from off on are stored, or are not: a hole.
func (v *Version) alike(off int64) (n int64, hole bool) {
	s := v.layout.at(off)
	starts, blobs := v.slices[s.part], v.recipe.Parts[s.part].Blobs
	if len(blobs) == 0 {
		return s.n, false
	}
	i, found := slices.BinarySearch(starts, s.partOff)
	if !found {
		i--
	}
	return min(s.n, starts[i]+blobs[i].Size-s.partOff), blobs[i].IsZeros()
}
