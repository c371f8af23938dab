package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
)

// Large files that are no music: images of disks, mail stores, databases. They
// change in places, in blocks, and mostly stay as long as they are or grow at
// their end. The first time one is cut by content. From then on its [sums] tell
// which blocks changed: what did not stays in the blobs it lies in, as slices of
// them, and what did goes into blobs of its own. When too little of a file is
// where it was, it is cut by content again, which finds what has moved.
//
// Stretches of zeros are in no blob; holes are not even read.
const (
	block      = 4096      // what changes at once, in bytes
	piece      = 1 << 20   // what is read at once; zeros are left out by whole pieces
	gathered   = 256 << 10 // bytes of a blob of changed blocks: a reader of one gets all of it
	mostSlices = 500_000   // of a part: the row that names them must fit into a commit
	leastSlice = 2 * block // bytes of a slice, on average
)

// largePart is from how many bytes on a part of data is cut so. Tests lower it.
var largePart = int64(64 << 20)

// alone tells where a part lies in the file, if it is data and large and in one piece.
func alone(l split.Layout, part int, kind string) (off, size int64, ok bool) {
	pieces := 0
	for at, n := range l.Extents(part) {
		off, size = at, n
		pieces++
	}
	return off, size, pieces == 1 && kind == repo.Data && size >= largePart
}

// largeFile is a large part being cut.
type largeFile struct {
	w        *Worker
	snap     *cache.Snapshot
	at, size int64 // in the file
}

// cutLarge names the blobs of a large part: those that it had, as far as it can be
// known what changed since, else those that its content says.
func (w *Worker) cutLarge(ctx context.Context, f largeFile) ([]cache.Blob, error) {
	if old := largeBase(f.snap.Base); old != nil {
		blobs, err := f.changes(ctx, old)
		if !errors.Is(err, errElsewhere) {
			return blobs, err
		}
	}
	s := w.beginSums(f.snap.Ino)
	return f.byContent(ctx, s, func(repo.ID, []byte) error { return nil })
}

// largeBase is the part of a recipe that a large part may be compared with.
func largeBase(r *cache.Recipe) *cache.Part {
	if r == nil {
		return nil
	}
	for i, p := range r.Parts {
		if p.Kind == repo.Data && len(p.Blobs) > 0 {
			return &r.Parts[i]
		}
	}
	return nil
}

// beginSums begins the sums of a file that is being cut; see endSums.
func (w *Worker) beginSums(ino cache.Ino) *sums {
	if s := w.sums[ino]; s != nil {
		s.drop()
	}
	w.sums[ino] = w.newSums(ino)
	return w.sums[ino]
}

// endSums keeps the sums of a file once its recipe was accepted, and drops them
// else.
func (w *Worker) endSums(ino cache.Ino, r *cache.Recipe, accepted bool) {
	s := w.sums[ino]
	if s == nil {
		return
	}
	delete(w.sums, ino)
	if p := largeBase(r); accepted && p != nil {
		s.keep(p.Blobs)
	}
	s.drop()
}

// errUnreadable says that a content could not be read.
var errUnreadable = errors.New("reading")

// errElsewhere says that too little of a file is where it was.
var errElsewhere = errors.New("too much of the file has changed, or is not known")

// changes makes a part of what it was, and of what changed.
func (f largeFile) changes(ctx context.Context, old *cache.Part) ([]cache.Blob, error) {
	b := &slicer{w: f.w, old: old.Blobs}
	var err error
	if f.snap.Partial() {
		err = f.written(ctx, old, b)
	} else {
		was := f.w.openSums(f.snap.Ino, old.Blobs)
		if was == nil {
			return nil, errElsewhere
		}
		defer was.close()
		err = f.compare(ctx, old.Size, was, b)
	}
	if err != nil {
		return nil, err
	}
	b.flush()
	return b.out, b.worth(f.size)
}

// compare reads a content that is all here, and finds the blocks that changed.
func (f largeFile) compare(ctx context.Context, oldSize int64, was *oldSums, b *slicer) error {
	now := f.w.beginSums(f.snap.Ino)
	p := &pieces{r: f.snap, at: f.at, size: f.size}
	var off, changed int64
	for ctx.Err() == nil {
		data, zeros, err := p.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if zeros > 0 {
			n := (zeros + block - 1) / block
			b.zeros(zeros)
			was.skip(n)
			now.addZeros(n)
			off += zeros
			continue
		}
		for len(data) > 0 {
			part := data[:min(block, len(data))]
			data = data[len(part):]
			sum := f.w.sumOf(part)
			now.add(sum)
			before, known := was.next()
			end := off + int64(len(part))
			switch {
			case known && sum == before && end <= oldSize:
				err = b.kept(off, int64(len(part)), part)
			case sum == 0:
				b.zeros(int64(len(part)))
			default:
				b.changed(part)
				if end <= oldSize {
					changed += int64(len(part))
				}
			}
			if err != nil {
				return err
			}
			off = end
		}
		if changed > oldSize/4 {
			return errElsewhere
		}
	}
	return ctx.Err()
}

// written makes a part of a content that is only partly here: what was not written
// since is as it was, and is not fetched.
func (f largeFile) written(ctx context.Context, old *cache.Part, b *slicer) error {
	for off := int64(0); off < f.size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, written := f.snap.Written(f.at+off, f.size-off)
		if written {
			buf := make([]byte, min(n, piece))
			if _, err := f.snap.ReadAt(buf, f.at+off); err != nil && err != io.EOF {
				return err
			}
			b.changed(buf)
			off += int64(len(buf))
			continue
		}
		part, partOff, n := f.snap.Kept(f.at+off, n)
		if n == 0 || partOff != off || &f.snap.Base.Parts[part] != old {
			return errElsewhere
		}
		if err := b.kept(off, n, nil); err != nil {
			return err
		}
		off += n
	}
	return nil
}

// byContent cuts a part where its content says, but for its zeros. each is given
// every blob.
func (f largeFile) byContent(ctx context.Context, s *sums, each func(repo.ID, []byte) error) ([]cache.Blob, error) {
	c := repo.NewChunker(repo.LargeMin, repo.LargeNormal, repo.LargeMax)
	if f.size >= repo.HugeData {
		c = repo.NewChunker(repo.AudioMin, repo.AudioNormal, repo.AudioMax)
	}
	b := &slicer{w: f.w}
	p := &pieces{r: f.snap, at: f.at, size: f.size}
	for {
		data, zeros, err := p.next()
		if err == io.EOF {
			return b.out, nil
		}
		if err != nil {
			return nil, err
		}
		if zeros > 0 {
			b.zeros(zeros)
			s.addZeros((zeros + block - 1) / block)
			continue
		}
		f.sum(s, data)
		for blob, err := range c.Chunks(&stretch{p: p, data: data, seen: func(data []byte) { f.sum(s, data) }}) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, err
			}
			id := f.w.o.Keys.BlobID(blob)
			b.append(cache.Blob{ID: id, Size: int64(len(blob))})
			if err := each(id, blob); err != nil {
				return nil, err
			}
		}
	}
}

// sum adds the sums of a piece.
func (f largeFile) sum(s *sums, data []byte) {
	for len(data) > 0 {
		n := min(block, len(data))
		s.add(f.w.sumOf(data[:n]))
		data = data[n:]
	}
}

// zeroReader is a content that may know where it has zeros.
type zeroReader interface {
	io.ReaderAt
	Zeros(off int64) int64 // how many from off on, as far as it is known unread
}

// pieces reads a stretch of a file piece by piece, and zeros by as many pieces as
// there are.
type pieces struct {
	r        zeroReader
	at, size int64
	off      int64
	buf      []byte
	again    bool // give the last piece once more
	last     struct {
		data  []byte
		zeros int64
	}
}

// next gives the next piece, or the number of zeros in its stead. It is valid until
// the next call.
func (p *pieces) next() (data []byte, zeros int64, err error) {
	if p.again {
		p.again = false
		return p.last.data, p.last.zeros, nil
	}
	left := p.size - p.off
	if left == 0 {
		return nil, 0, io.EOF
	}
	n := min(piece, left)
	if z := min(p.r.Zeros(p.at+p.off), left); z >= n {
		if z < left {
			z -= z % piece
		}
		p.last.data, p.last.zeros = nil, z
		p.off += z
		return nil, z, nil
	}
	if p.buf == nil {
		p.buf = make([]byte, n)
	}
	data = p.buf[:n]
	if k, err := p.r.ReadAt(data, p.at+p.off); int64(k) < n {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, 0, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	p.off += n
	p.last.data, p.last.zeros = data, 0
	if isZero(data) {
		p.last.data, p.last.zeros = nil, n
	}
	return p.last.data, p.last.zeros, nil
}

// stretch reads pieces up to the next zeros.
type stretch struct {
	p    *pieces
	data []byte
	seen func([]byte) // is given each piece that is read on
	end  bool
}

func (s *stretch) Read(b []byte) (int, error) {
	if len(s.data) == 0 && !s.end {
		data, zeros, err := s.p.next()
		s.data, s.end = data, zeros > 0 || err == io.EOF
		s.p.again = zeros > 0
		s.seen(data)
		if err != nil && err != io.EOF {
			return 0, err
		}
	}
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	return n, nil
}

// largeData uploads a large part: of one that was cut what the bucket lacks, of
// another all.
func (u *upload) largeData(f *owedFile, i int, at int64) error {
	p := f.recipe.Parts[i]
	if len(p.Blobs) > 0 {
		done, err := u.lacking(f, i, at)
		if err != nil || !done {
			return err
		}
		return u.paid(payment{f, i, p.Blobs})
	}
	stopped := errors.New("stopped")
	file := largeFile{u.w, f.snap, at, p.Size}
	blobs, err := file.byContent(u.ctx, u.w.beginSums(f.snap.Ino), func(id repo.ID, blob []byte) error {
		err := u.w.add(u.ctx, p.Kind, id, blob)
		if err == nil && u.stop() {
			err = stopped
		}
		return err
	})
	switch {
	case errors.Is(err, errUnreadable):
		return u.unreadable(f, err)
	case err == nil || err == stopped:
		err = errors.Join(err, u.w.finishPacks(u.ctx))
	}
	if err == nil {
		err = u.paid(payment{f, i, blobs})
	}
	p.Blobs = blobs
	u.w.endSums(f.snap.Ino, &cache.Recipe{Parts: []cache.Part{p}}, err == nil)
	if errors.Is(err, stopped) {
		return nil // what was sent is found again, and not sent
	}
	return err
}

// lacking uploads the blobs of a large part, at a place of its file, that the bucket
// lacks, and reads no others. done is false if the file is not what the cut found,
// and is cut again, or cannot be read.
func (u *upload) lacking(f *owedFile, i int, at int64) (done bool, err error) {
	s := &slicer{w: u.w}
	var id repo.ID
	var blob []byte // as far as its slices were met
	for _, b := range append(f.recipe.Parts[i].Blobs, cache.Blob{}) {
		known, err := s.has(b.ID)
		if err != nil {
			return false, err
		}
		if len(blob) > 0 && (b.Size == 0 || !known && b.Off == 0) { // it is complete
			if u.w.o.Keys.BlobID(blob) != id {
				return false, u.recut(f.snap.Ino)
			}
			if err := u.w.add(u.ctx, repo.Data, id, blob); err != nil {
				return false, err
			}
			blob = blob[:0]
		}
		if !known {
			if err := u.ctx.Err(); err != nil {
				return false, err
			}
			if b.Off != int64(len(blob)) || b.Off > 0 && b.ID != id {
				return false, u.recut(f.snap.Ino)
			}
			id = b.ID
			blob = slices.Grow(blob, int(b.Size))[:b.Off+b.Size]
			if k, err := f.snap.ReadAt(blob[b.Off:], at); int64(k) < b.Size {
				return false, u.unreadable(f, err)
			}
		}
		at += b.Size
	}
	return true, u.w.finishPacks(u.ctx)
}
