package past

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	gosync "sync"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	tsync "github.com/tunesafe/tunesafe/sync"
)

const (
	// wholePart is the size in bytes up to which a part is read whole, and kept
	// while the file is open: tags, pictures, probes.
	wholePart = 1 << 20
	// How much of a longer part is asked for at once, in bytes: little for who looks here
	// and there, as scanners do, and twice as much each time for who reads on. He reads
	// from the same answer.
	firstStreamed = 256 << 10
	maxStreamed   = 8 << 20
)

// File is an open file of the past. ReadAt may be called at once.
type File struct {
	fetcher cache.Fetcher
	recipe  *cache.Recipe
	now     *cache.Now
	ctx     context.Context //nolint:containedctx // of streams that outlive a call; ends with Close
	cancel  context.CancelFunc

	mu     gosync.Mutex
	ended  stream      // the last one
	runs   []placedRun // nil until they are needed
	slices [][]int64   // where each slice of a part begins in it
	small  map[int][]byte
	stream *stream
}

// placedRun is a run, and where it begins in the file and in its part.
type placedRun struct {
	cache.Run
	off, inPart int64
}

// stream is a part being read on.
type stream struct {
	part   int
	off    int64 // in the part, of the next byte
	window int64
	body   io.ReadCloser
	cancel context.CancelFunc
}

func (p *Past) open(row repo.InodeRow) *File {
	f := &File{fetcher: p.o.Fetcher, recipe: tsync.FromRepo(row).Recipe, small: map[int][]byte{}}
	f.now = p.o.Cache.Now(row.Inode, f.recipe.Parts)
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Size is that of the file, in bytes.
func (f *File) Size() int64 { return f.recipe.Size }

// Sound reports whether the file has sound, or parts long enough to be worth not being
// fetched ahead.
func (f *File) Sound() bool {
	return slices.ContainsFunc(f.recipe.Parts, func(p cache.Part) bool { return p.Kind == "audio" || p.Size > wholePart })
}

// Close ends what is being read.
func (f *File) Close() error {
	f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.endStream()
}

// ReadAt reads as [io.ReaderAt] does. Bytes that cannot be had are an error.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < 0 {
		return 0, cache.ErrInvalid
	}
	if err := f.layOut(ctx); err != nil {
		return 0, err
	}
	for n < len(p) && off+int64(n) < f.recipe.Size {
		r, in := f.at(off + int64(n))
		k := min(int64(len(p)-n), r.Length-in)
		if err := f.readPart(ctx, r.Part, r.inPart+in, p[n:n+int(k)]); err != nil {
			return n, f.why(r.Part, err)
		}
		n += int(k)
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// why tells what was pruned from what never came.
func (f *File) why(part int, err error) error {
	if errors.Is(err, cache.ErrOwed) && len(f.recipe.Parts[part].Blobs) > 0 {
		return fmt.Errorf("%w (%w)", ErrPruned, cache.ErrUnavailable)
	}
	return err
}

// layOut finds out where each run begins. f.mu is held.
func (f *File) layOut(ctx context.Context) error {
	if f.runs != nil || f.recipe.Size == 0 {
		return nil
	}
	runs := f.recipe.Runs
	if f.recipe.More != nil {
		var err error
		if runs, err = f.fetcher.Runs(ctx, f.recipe); err != nil {
			return err
		}
	}
	placed := make([]placedRun, 0, len(runs))
	sums := make([]int64, len(f.recipe.Parts))
	var off int64
	for _, r := range runs {
		if r.Part < 0 || r.Part >= len(sums) || r.Length <= 0 {
			continue // of no bytes; the rest was checked with the row
		}
		placed = append(placed, placedRun{r, off, sums[r.Part]})
		off += r.Length
		sums[r.Part] += r.Length
	}
	if off != f.recipe.Size {
		return fmt.Errorf("runs of %d bytes in a file of %d: %w", off, f.recipe.Size, repo.ErrCorrupt)
	}
	f.runs = placed
	f.slices = make([][]int64, len(f.recipe.Parts))
	for i, p := range f.recipe.Parts {
		var at int64
		for _, b := range p.Blobs {
			f.slices[i] = append(f.slices[i], at)
			at += b.Size
		}
	}
	return nil
}

// at finds the run of an offset below the size, and how far in it that is.
func (f *File) at(off int64) (r placedRun, in int64) {
	i, found := slices.BinarySearchFunc(f.runs, off, func(r placedRun, off int64) int { return int(max(-1, min(1, r.off-off))) })
	if !found {
		i--
	}
	return f.runs[i], off - f.runs[i].off
}

// readPart fills p from a part, where the file of now has that and it is here from there.
// f.mu is held.
func (f *File) readPart(ctx context.Context, part int, off int64, p []byte) error {
	for len(p) > 0 {
		n := f.now.ReadAt(part, p, off)
		if n == 0 {
			break
		}
		p, off = p[n:], off+int64(n)
	}
	if len(p) == 0 {
		return nil
	}
	if f.recipe.Parts[part].Size <= wholePart {
		whole, ok := f.small[part]
		if !ok {
			var err error
			if whole, err = f.whole(ctx, part); err != nil {
				return err
			}
			f.small[part] = whole
		}
		copy(p, whole[off:])
		return nil
	}
	for len(p) > 0 {
		n, err := f.readOn(ctx, part, off, p)
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (f *File) whole(ctx context.Context, part int) ([]byte, error) {
	p := f.recipe.Parts[part]
	r, err := f.fetcher.Open(ctx, p, 0, p.Size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, p.Size)
	_, err = io.ReadFull(r, b)
	return b, err
}

// readOn reads some bytes of a long part, from the answer that is open if it is at
// that place.
func (f *File) readOn(ctx context.Context, part int, off int64, p []byte) (int, error) {
	if s := f.stream; s == nil || s.part != part || s.off != off {
		if err := f.begin(part, off); err != nil {
			return 0, err
		}
	}
	stop := context.AfterFunc(ctx, f.stream.cancel)
	n, err := f.stream.body.Read(p)
	f.stream.off += int64(n)
	if stopped := !stop(); stopped || err != nil {
		f.endStream()
	}
	switch {
	case n > 0:
		return n, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case err == nil || errors.Is(err, io.EOF):
		if off < f.recipe.Parts[part].Size {
			return 0, nil // the answer ended; the next begins here
		}
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}

func (f *File) begin(part int, off int64) error {
	f.endStream()
	window := int64(firstStreamed)
	if f.ended.part == part && f.ended.off == off {
		window = min(max(2*f.ended.window, firstStreamed), maxStreamed)
	}
	p := f.recipe.Parts[part]
	ctx, cancel := context.WithCancel(f.ctx)
	body, err := f.fetcher.Open(ctx, p, off, min(window, p.Size-off))
	if err != nil {
		cancel()
		return err
	}
	f.stream = &stream{part, off, window, body, cancel}
	return nil
}

func (f *File) endStream() error {
	if f.stream == nil {
		return nil
	}
	f.ended = *f.stream
	f.stream.cancel()
	err := f.stream.body.Close()
	f.stream = nil
	return err
}

// Lseek finds data and holes as lseek(2) does. Holes are the zeros that the version says
// of that they are nowhere stored.
func (f *File) Lseek(off int64, whence uint32) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < 0 || off >= f.recipe.Size {
		return 0, unix.ENXIO
	}
	if err := f.layOut(f.ctx); err != nil {
		return 0, err
	}
	for off < f.recipe.Size {
		n, hole := f.alike(off)
		if hole == (whence == unix.SEEK_HOLE) {
			return off, nil
		}
		off += n
	}
	if whence == unix.SEEK_HOLE {
		return f.recipe.Size, nil
	}
	return 0, unix.ENXIO
}

// Zeros tells how many bytes from off on are zeros that are nowhere stored.
func (f *File) Zeros(ctx context.Context, off int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.layOut(ctx); err != nil || off >= f.recipe.Size {
		return 0, err
	}
	n, hole := f.alike(off)
	if !hole {
		n = 0
	}
	return n, nil
}

// alike tells how many bytes from off on are stored, or are not: a hole.
func (f *File) alike(off int64) (n int64, hole bool) {
	r, in := f.at(off)
	starts, blobs := f.slices[r.Part], f.recipe.Parts[r.Part].Blobs
	if len(blobs) == 0 {
		return r.Length - in, false
	}
	i, found := slices.BinarySearch(starts, r.inPart+in)
	if !found {
		i--
	}
	return min(r.Length-in, starts[i]+blobs[i].Size-r.inPart-in), blobs[i].IsZeros()
}
