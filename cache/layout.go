package cache

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// bigPart is the size in bytes from which a part is read in ranges into the
// content file; smaller ones are held whole in memory while the file is open.
const bigPart = 1 << 20

// big reports whether the part is fetched by range into the content file.
func (p Part) big() bool { return p.Kind == "audio" || p.Kind == "data" || p.Size > bigPart }

// layout finds the part behind an offset of a file.
type layout struct {
	recipe Recipe
	starts []int64   // file offset of each run
	inPart []int64   // offset of each run within its part
	byPart [][]int32 // the runs of each part, in order
	zeros  []extents // of each part, where it has many; nil if none has
}

func newLayout(r Recipe) (*layout, error) {
	l := &layout{recipe: r, starts: make([]int64, len(r.Runs)), inPart: make([]int64, len(r.Runs)), byPart: make([][]int32, len(r.Parts))}
	var off int64
	sums := make([]int64, len(r.Parts))
	for i, run := range r.Runs {
		if run.Part < 0 || run.Part >= len(r.Parts) || run.Length <= 0 {
			return nil, fmt.Errorf("recipe: run %d is malformed", i)
		}
		l.starts[i], l.inPart[i] = off, sums[run.Part]
		l.byPart[run.Part] = append(l.byPart[run.Part], int32(i))
		off += run.Length
		sums[run.Part] += run.Length
	}
	for i, p := range r.Parts {
		if sums[i] != p.Size {
			return nil, fmt.Errorf("recipe: part %d has %d bytes in runs, %d by its size", i, sums[i], p.Size)
		}
		l.findZeros(i)
	}
	if off != r.Size {
		return nil, fmt.Errorf("recipe: runs sum to %d bytes of %d", off, r.Size)
	}
	return l, nil
}

// span is a stretch of one run.
type span struct {
	part    int
	partOff int64 // where the stretch begins in the part
	n       int64 // bytes to the end of the run
}

// at finds the run behind a file offset below the recipe's size.
func (l *layout) at(off int64) span {
	i, found := slices.BinarySearch(l.starts, off)
	if !found {
		i--
	}
	d := off - l.starts[i]
	r := l.recipe.Runs[i]
	return span{part: r.Part, partOff: l.inPart[i] + d, n: r.Length - d}
}

// fileOff maps an offset of a part to the file; n is how many bytes follow there.
func (l *layout) fileOff(part int, partOff int64) (off, n int64) {
	runs := l.byPart[part]
	i, found := slices.BinarySearchFunc(runs, partOff, func(r int32, o int64) int { return cmpInt(l.inPart[r], o) })
	if !found {
		i--
	}
	r := runs[i]
	d := partOff - l.inPart[r]
	return l.starts[r] + d, l.recipe.Runs[r].Length - d
}

// resolve completes the runs of a recipe that came from the bucket.
func (c *Cache) resolve(ctx context.Context, r *Recipe) error {
	var sum int64
	for _, run := range r.Runs {
		sum += run.Length
	}
	if sum == r.Size || r.More == nil {
		if len(r.Runs) == 0 && len(r.Parts) == 1 {
			r.Runs = []Run{{Length: r.Size}}
		}
		return nil
	}
	if c.opt.Fetcher == nil {
		return ErrUnavailable
	}
	runs, err := c.opt.Fetcher.Runs(ctx, r)
	if err == nil {
		r.Runs = runs
	}
	return err
}

// readPart fetches a whole part into memory.
func (c *Cache) readPart(ctx context.Context, p Part) ([]byte, error) {
	if c.opt.Fetcher == nil {
		return nil, ErrUnavailable
	}
	r, err := c.opt.Fetcher.Open(ctx, p, 0, p.Size)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	buf := make([]byte, p.Size)
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, err
	}
	return buf, nil
}

// unit is where the unit of its blob begins that an offset of the part lies in, and
// unitEnd where the one before an offset ends: see fetchUnit.
func (p Part) unit(off int64) int64 {
	begin, b := p.blobAt(off)
	return max(begin, off-(off-begin+b.Off)%fetchUnit)
}

func (p Part) unitEnd(to int64) int64 {
	begin, b := p.blobAt(to - 1)
	over := (to - begin + b.Off) % fetchUnit
	if over == 0 || b.Size == 0 {
		return to
	}
	return min(to-over+fetchUnit, begin+b.Size)
}

// blobAt finds the blob behind an offset of the part, and where it begins.
func (p Part) blobAt(off int64) (begin int64, b Blob) {
	for _, b := range p.Blobs {
		if off < begin+b.Size {
			return begin, b
		}
		begin += b.Size
	}
	return off, Blob{}
}
