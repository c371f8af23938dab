package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
)

// moreRuns is how many runs a recipe may have before those behind the first
// sound go into a blob: an Ogg file has four for each page.
const moreRuns = 64

// cutFile is one accepted piece of work of a round: what a file is made of.
type cutFile struct {
	snap   *cache.Snapshot
	recipe cache.Recipe
}

// round cuts the files that are ready, uploads their small parts, and hands
// their recipes to the cache. It begins with inos; are these as many as are listed at once,
// it goes on with those behind. It returns how many could be cut, and when to look again at
// what was passed over on the way.
func (w *Worker) round(ctx context.Context, inos []cache.Ino) (done int, next time.Time, err error) {
	full := len(inos) == roundFiles
	for len(inos) > 0 {
		cuts, n, err := w.cutSome(ctx, inos)
		if err != nil {
			w.dropPacks()
			return done, next, err
		}
		last := inos[max(n, 1)-1]
		inos = inos[n:]
		if err := w.finishRound(ctx, cuts); err != nil {
			return done, next, err
		}
		done += len(cuts)
		if len(inos) == 0 && full {
			var later time.Time
			if inos, later, err = w.cache.Uncut(w.o.Settle, last, roundFiles); err != nil {
				return done, next, err
			}
			full, next = len(inos) == roundFiles, sooner(next, later)
		}
		// Hours may pass until the last is cut; and what waits for a commit is held in memory.
		if len(inos) > 0 && (w.overdue() || n >= roundFiles) {
			if err := w.commitRowsTo(ctx, last); err != nil {
				return done, next, err
			}
			w.commitDue = time.Now().Add(longestSettle)
		}
	}
	return done, next, nil
}

// cutSome cuts as many files as a round takes, the first n, while full packs of
// their small parts are uploaded.
func (w *Worker) cutSome(ctx context.Context, inos []cache.Ino) (cuts []cutFile, n int, err error) {
	w.setPhase(phaseTags)
	w.small = 0
	w.ahead = newCrew(ctx, w.transfers())
	for n < len(inos) && n < roundFiles && w.small < roundSmall {
		if err := ctx.Err(); err != nil {
			return nil, n, err
		}
		if w.ahead.ctx.Err() != nil {
			break // the error is the crew's
		}
		c, err := w.cut(ctx, inos[n])
		if err != nil {
			return nil, n, err
		}
		if c != nil {
			cuts = append(cuts, *c)
		}
		n++
	}
	return cuts, n, nil
}

// finishRound uploads the packs and, once they are acknowledged, accepts the cuts.
func (w *Worker) finishRound(ctx context.Context, cuts []cutFile) error {
	w.setPhase(phaseLabour)
	if err := w.finishPacks(ctx); err != nil {
		return err
	}
	crashpoint.At("cut.uploaded")
	for _, c := range cuts {
		err := c.snap.SetRecipe(c.recipe)
		crashpoint.At("cut.accepted")
		w.endSums(c.snap.Ino, &c.recipe, err == nil)
		if errors.Is(err, cache.ErrChanged) || errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrStale) {
			continue // it waits again, or is gone
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cut finds out what a file is made of. It returns nil if the file cannot be
// cut now: it is in use, gone, or could not be read.
func (w *Worker) cut(ctx context.Context, ino cache.Ino) (*cutFile, error) {
	snap, err := w.cache.Snapshot(ino)
	switch {
	case errors.Is(err, cache.ErrBusy), errors.Is(err, cache.ErrNotExist), errors.Is(err, cache.ErrStale):
		return nil, nil // a stale one waits for its feed
	case err != nil:
		w.report(fmt.Errorf("inode %x: %w", ino, err))
		return nil, nil
	}
	defer snap.Close()
	r, err := w.recipe(ctx, snap)
	var up *uploadError
	switch {
	case errors.As(err, &up):
		return nil, up.err
	case err != nil:
		if ctx.Err() == nil && !errors.Is(err, cache.ErrStale) {
			w.report(fmt.Errorf("reading inode %x: %w", ino, err))
		}
		return nil, ctx.Err()
	}
	return &cutFile{snap, *r}, nil
}

// uploadError is an error of the store in the midst of cutting.
type uploadError struct{ err error }

func (e *uploadError) Error() string { return e.err.Error() }

func (w *Worker) recipe(ctx context.Context, snap *cache.Snapshot) (*cache.Recipe, error) {
	if snap.Unchanged() {
		if missing, err := w.missing(snap.Base); err != nil || !missing {
			return snap.Base, err
		}
	}
	l, err := split.Split(snap, snap.Size)
	if err != nil {
		return nil, err
	}
	r := &cache.Recipe{Size: snap.Size}
	for i, kind := range l.Parts {
		p, err := w.part(ctx, snap, l, i, kind.String())
		if err != nil {
			return nil, err
		}
		if p.Owed {
			if err := w.bring(snap, l, i, p); err != nil {
				return nil, err
			}
		}
		r.Parts = append(r.Parts, p)
	}
	for _, run := range l.Runs {
		r.Runs = append(r.Runs, cache.Run{Part: run.Part, Length: run.Length})
	}
	if err := labelled(snap, l); err != nil {
		return nil, err
	}
	if len(r.Runs) > moreRuns {
		err = w.shorten(ctx, r)
	}
	return r, err
}

// labelled asks what the file says of itself and of where it came from. No sound
// is read for it, and what is read was read a moment ago.
func labelled(snap *cache.Snapshot, l split.Layout) error {
	says, err := label.Read(snap, snap.Size, l)
	if err != nil {
		return err
	}
	snap.Label = says.Encode()
	switch {
	case says.Bought:
		snap.Rank = cache.RankBought
	case says.Ripped:
		snap.Rank = cache.RankRipped
	default:
		snap.Rank = cache.RankUnknown
	}
	return nil
}

// bring puts the bytes of a part that will be owed on this disk: parts of the
// recipe before may have been read without being kept. Of a large part only those
// are owed that the bucket lacks.
func (w *Worker) bring(snap *cache.Snapshot, l split.Layout, part int, p cache.Part) error {
	if at, _, ok := alone(l, part, p.Kind); ok && len(p.Blobs) > 0 {
		b := &slicer{w: w}
		for _, s := range p.Blobs {
			known, err := b.has(s.ID)
			if err == nil && !known {
				err = snap.Bring(at, s.Size)
			}
			if err != nil {
				return err
			}
			at += s.Size
		}
		return nil
	}
	for off, n := range l.Extents(part) {
		if err := snap.Bring(off, n); err != nil {
			return err
		}
	}
	return nil
}

// part names the blobs of a part. Small ones and libraries go into packs at
// once; sound that the bucket lacks, or that was not read yet, is owed.
func (w *Worker) part(ctx context.Context, snap *cache.Snapshot, l split.Layout, i int, kind string) (cache.Part, error) {
	size := l.PartSize(i)
	if p, ok := kept(snap, l, i, kind); ok {
		if missing, err := w.missing(&cache.Recipe{Parts: []cache.Part{p}}); err != nil || !missing {
			return p, err
		}
	}
	p := cache.Part{Kind: kind, Size: size}
	src := &partReader{r: snap, l: l, part: i}
	heavy := kind == repo.Audio || kind == repo.Data && size >= packedBelow
	if heavy && kind == repo.Data {
		library, err := isLibrary(snap)
		if err != nil {
			return p, err
		}
		heavy = !library
	}
	at, _, large := alone(l, i, kind)
	switch {
	case heavy && !likelyKnown(snap, p):
		p.Owed = true
		return p, nil
	case heavy && large:
		var err error
		if p.Blobs, err = w.cutLarge(ctx, largeFile{w, snap, at, size}); err != nil {
			return p, err
		}
		return p, w.markOwed(&p)
	case heavy:
		return w.heavyPart(ctx, p, src)
	}
	for blob, err := range blobs(src, kind, size, w.scratch(min(size, hashBuffer))) {
		if err != nil {
			return p, err
		}
		id := w.o.Keys.BlobID(blob)
		p.Blobs = append(p.Blobs, cache.Blob{ID: id, Size: int64(len(blob))})
		if err := w.add(ctx, kind, id, blob); err != nil {
			return p, &uploadError{err}
		}
	}
	return p, nil
}

// likelyKnown tells whether the bucket may well have the sound, so that it is
// read for the cut: a retag leaves it as it was, in the file or in one that takes
// its place. To commit first that such sound is owed would take it from other
// devices for a while, and send each row twice.
//
// All other sound is new, most likely, and read once, when it is its turn.
func likelyKnown(snap *cache.Snapshot, p cache.Part) bool {
	if snap.Base == nil {
		return snap.Over
	}
	for _, was := range snap.Base.Parts {
		same := was.Kind == p.Kind && (was.Size == p.Size || p.Kind == repo.Data)
		if same && len(was.Blobs) > 0 {
			return true
		}
	}
	return snap.Over
}

// kept finds the part unread when it is untouched in a file that is only partly
// here: its bytes lie where a part of the old recipe lies.
func kept(snap *cache.Snapshot, l split.Layout, i int, kind string) (cache.Part, bool) {
	base, want := -1, int64(0)
	for off, n := range l.Extents(i) {
		for n > 0 {
			part, partOff, k := snap.Kept(off, n)
			if k == 0 || partOff != want || base >= 0 && part != base {
				return cache.Part{}, false
			}
			base, want = part, want+k
			off, n = off+k, n-k
		}
	}
	if base < 0 {
		return cache.Part{}, false
	}
	p := snap.Base.Parts[base]
	return p, p.Kind == kind && p.Size == want && len(p.Blobs) > 0
}

// heavyPart hashes a part that is uploaded on its own.
func (w *Worker) heavyPart(ctx context.Context, p cache.Part, src io.Reader) (cache.Part, error) {
	if p.Kind == repo.Audio && p.Size <= repo.MaxBlob {
		h := w.o.Keys.NewHash()
		buf := w.buffers.get(min(p.Size, hashBuffer))
		defer w.buffers.put(buf)
		if _, err := io.CopyBuffer(h, src, buf); err != nil {
			return p, err
		}
		p.Blobs = []cache.Blob{{ID: h.Sum(), Size: p.Size}}
		return p, w.markOwed(&p)
	}
	for blob, err := range blobs(src, p.Kind, p.Size, nil) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return p, err
		}
		p.Blobs = append(p.Blobs, cache.Blob{ID: w.o.Keys.BlobID(blob), Size: int64(len(blob))})
	}
	return p, w.markOwed(&p)
}

// markOwed looks whether the bucket has the blobs.
func (w *Worker) markOwed(p *cache.Part) error {
	s := &slicer{w: w}
	for _, b := range p.Blobs {
		known, err := s.has(b.ID)
		if err != nil {
			return err
		}
		if !known {
			p.Owed = true
			return nil
		}
	}
	return nil
}

// blobs cuts the bytes of a part into blobs, FORMAT.md §4. A blob is valid until
// the next is asked for. One that is the whole part is read into buf if that is
// long enough.
func blobs(r io.Reader, kind string, size int64, buf []byte) iter.Seq2[[]byte, error] {
	switch {
	case kind == repo.Data && size < repo.LargeData:
		return repo.Chunks(r, repo.DataMin, repo.DataNormal, repo.DataMax)
	case kind == repo.Audio && size > repo.MaxBlob:
		return repo.Chunks(r, repo.AudioMin, repo.AudioNormal, repo.AudioMax)
	case size > repo.MaxBlob || kind == repo.Data:
		return repo.Chunks(r, repo.LargeMin, repo.LargeNormal, repo.LargeMax)
	}
	return func(yield func([]byte, error) bool) {
		if int64(len(buf)) < size {
			buf = make([]byte, size)
		}
		_, err := io.ReadFull(r, buf[:size])
		yield(buf[:size], err)
	}
}

// shorten moves the runs behind the first sound into a blob of its own.
func (w *Worker) shorten(ctx context.Context, r *cache.Recipe) error {
	at := firstSound(r)
	if at <= 0 || len(r.Runs)-at <= moreRuns {
		return nil
	}
	raw := repo.MarshalRuns(repoRuns(r.Runs[at:]))
	if len(raw) > repo.MaxBlob {
		return nil
	}
	id := w.o.Keys.BlobID(raw)
	r.More = &cache.Blob{ID: id, Size: int64(len(raw))}
	if err := w.add(ctx, repo.IndexPart, id, raw); err != nil {
		return &uploadError{err}
	}
	return nil
}

func firstSound(r *cache.Recipe) int {
	for i, run := range r.Runs {
		if k := r.Parts[run.Part].Kind; k == repo.Probe || k == repo.Audio {
			return i
		}
	}
	return -1
}

// partReader reads the bytes of a part in order.
type partReader struct {
	r    io.ReaderAt
	l    split.Layout
	part int
	run  int   // the next run to look at
	off  int64 // its offset in the file
	at   int64 // where to read, and
	left int64 // how much of the run is left
}

func (p *partReader) Read(b []byte) (int, error) {
	for p.left == 0 {
		if p.run == len(p.l.Runs) {
			return 0, io.EOF
		}
		r := p.l.Runs[p.run]
		if r.Part == p.part {
			p.at, p.left = p.off, r.Length
		}
		p.off += r.Length
		p.run++
	}
	b = b[:min(int64(len(b)), p.left)]
	n, err := p.r.ReadAt(b, p.at)
	p.at, p.left = p.at+int64(n), p.left-int64(n)
	if err == io.EOF {
		err = nil
		if n < len(b) {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}
