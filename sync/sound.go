package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
)

// sound uploads owed parts for a while; done is false if it stopped to let new
// labour go first.
func (w *Worker) sound(ctx context.Context) (done bool, err error) {
	inos, err := w.cache.Owed()
	if err != nil || len(inos) == 0 {
		return true, err
	}
	if err := w.labourFirst(ctx, inos); err != nil {
		return false, err
	}
	w.setPhase(phaseSound)
	u := &upload{w: w, until: time.Now().Add(sliceOfSound)}
	u.g = newCrew(ctx, w.transfers())
	u.ctx = u.g.ctx
	done, err = u.all(inos)
	if err == nil {
		err = u.finishGroup()
	}
	if werr := u.g.Wait(); werr != nil {
		err = werr
	}
	w.sent += u.sent
	return done, errors.Join(err, ctx.Err())
}

// labourFirst makes a commit of names and tags before much sound is uploaded.
func (w *Worker) labourFirst(ctx context.Context, inos []cache.Ino) error {
	var sum int64
	for _, ino := range inos {
		r, _, err := w.cache.RecipeOf(ino)
		if errors.Is(err, cache.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, p := range r.Parts {
			if p.Owed {
				sum += p.Size
			}
		}
	}
	rate := w.line.get()
	if sum < labourFirst && (rate == 0 || float64(sum)/rate < 30) {
		return nil
	}
	return w.commitRows(ctx)
}

// upload is one call of sound.
type upload struct {
	w     *Worker
	g     *crew
	ctx   context.Context
	until time.Time
	sent  int64
	group group
}

// group gathers small sound of several files for one object.
type group struct {
	blobs []repo.Blob
	size  int64
	files []*owedFile
}

// owedFile is a file whose owed parts are being uploaded.
type owedFile struct {
	snap   *cache.Snapshot
	recipe *cache.Recipe
}

func (f *owedFile) reader(part int) io.Reader {
	l := split.Layout{}
	for _, r := range f.recipe.Runs {
		l.Runs = append(l.Runs, split.Run{Part: r.Part, Length: r.Length})
	}
	return &partReader{r: f.snap, l: l, part: part}
}

func (u *upload) all(inos []cache.Ino) (done bool, err error) {
	for i, ino := range inos {
		if u.ctx.Err() != nil {
			return false, nil // the error is the group's
		}
		if time.Now().After(u.until) || u.sent >= commitBytes {
			return i == len(inos), nil
		}
		if err := u.file(ino); err != nil {
			return false, err
		}
	}
	return true, nil
}

// file begins the upload of what a file owes.
func (u *upload) file(ino cache.Ino) error {
	r, current, err := u.w.cache.RecipeOf(ino)
	if errors.Is(err, cache.ErrNotExist) || err == nil && !current {
		return nil // gone, or to be cut again
	}
	if err != nil {
		return err
	}
	snap, err := u.w.cache.Snapshot(ino)
	if errors.Is(err, cache.ErrBusy) || errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f := &owedFile{snap, r}
	for i, p := range r.Parts {
		if !p.Owed {
			continue
		}
		u.sent += p.Size
		switch {
		case p.Kind != repo.Audio:
			return u.data(f, i)
		case p.Size < packedBelow:
			return u.small(f, i)
		}
		u.g.Go(func() error { return u.large(f, i) })
		return nil // sound is one part
	}
	snap.Close()
	return nil
}

// large uploads the sound of one file, an object a blob.
func (u *upload) large(f *owedFile, i int) error {
	defer f.snap.Close()
	p := f.recipe.Parts[i]
	at := 0
	weight := min(2*min(p.Size, repo.MaxBlob), inFlight)
	if err := u.w.flight.Acquire(u.ctx, weight); err != nil {
		return err
	}
	defer u.w.flight.Release(weight)
	var buf []byte
	if p.Size <= repo.MaxBlob {
		buf = u.w.buffers.get(p.Size)
		defer u.w.buffers.put(buf)
	}
	for blob, err := range blobs(f.reader(i), p.Kind, p.Size, buf) {
		if err != nil {
			return u.unreadable(f, err)
		}
		id, err := u.expected(f, p, at, blob)
		if err != nil {
			return err
		}
		if id == nil {
			return nil
		}
		at++
		if err := u.putOnce(repo.Blob{ID: *id, Data: blob}); err != nil {
			return err
		}
	}
	return u.paid(f)
}

// expected checks that a blob is what the cut found; nil if the file is not what
// it was, and then it is cut again.
func (u *upload) expected(f *owedFile, p cache.Part, at int, blob []byte) (*repo.ID, error) {
	id := u.w.o.Keys.BlobID(blob)
	if at < len(p.Blobs) && p.Blobs[at].ID == id {
		return &id, nil
	}
	u.w.log.Warn("a file changed between cut and upload", "ino", f.snap.Ino)
	return nil, u.w.cache.Recut(f.snap.Ino)
}

func (u *upload) unreadable(f *owedFile, err error) error {
	if u.ctx.Err() != nil {
		return u.ctx.Err()
	}
	u.w.report(fmt.Errorf("reading inode %x: %w", f.snap.Ino, err))
	return nil
}

// putOnce uploads a blob unless the bucket has it; of equal blobs at once, one goes.
func (u *upload) putOnce(b repo.Blob) error {
	_, err, _ := u.w.once.Do(string(b.ID[:]), func() (any, error) {
		_, ok, err := u.w.o.Index.Lookup(b.ID)
		if err != nil || ok {
			return nil, err
		}
		return nil, u.putSound(b)
	})
	return err
}

func (u *upload) putSound(blobs ...repo.Blob) error {
	s, row, err := repo.SealAudio(u.w.o.Keys, blobs...)
	if err != nil {
		return err
	}
	defer s.Release()
	return u.w.put(u.ctx, s, row)
}

// small adds the sound of a short file to the group.
func (u *upload) small(f *owedFile, i int) error {
	p := f.recipe.Parts[i]
	if u.group.size+p.Size > repo.MaxBlob {
		if err := u.finishGroup(); err != nil {
			return err
		}
	}
	blob := make([]byte, p.Size)
	if _, err := io.ReadFull(f.reader(i), blob); err != nil {
		f.snap.Close()
		return u.unreadable(f, err)
	}
	f.snap.Close()
	id, err := u.expected(f, p, 0, blob)
	if err != nil || id == nil {
		return err
	}
	_, ok, err := u.w.o.Index.Lookup(*id)
	if err != nil {
		return err
	}
	if !ok && !u.group.has(*id) {
		u.group.blobs = append(u.group.blobs, repo.Blob{ID: *id, Data: blob})
		u.group.size += p.Size
	}
	u.group.files = append(u.group.files, f)
	return nil
}

func (g *group) has(id repo.ID) bool {
	for _, b := range g.blobs {
		if b.ID == id {
			return true
		}
	}
	return false
}

// finishGroup uploads the group as one object.
func (u *upload) finishGroup() error {
	gr := u.group
	u.group = group{}
	if len(gr.files) == 0 {
		return nil
	}
	u.g.Go(func() error {
		if len(gr.blobs) > 0 {
			n := min(2*gr.size, inFlight)
			if err := u.w.flight.Acquire(u.ctx, n); err != nil {
				return err
			}
			defer u.w.flight.Release(n)
			if err := u.putSound(gr.blobs...); err != nil {
				return err
			}
		}
		for _, f := range gr.files {
			if err := u.paid(f); err != nil {
				return err
			}
		}
		return nil
	})
	return nil
}

// data uploads the chunks of an unrecognised file in packs.
func (u *upload) data(f *owedFile, i int) error {
	defer f.snap.Close()
	p := f.recipe.Parts[i]
	at := 0
	for blob, err := range blobs(f.reader(i), p.Kind, p.Size, nil) {
		if err == nil && u.ctx.Err() != nil {
			return u.ctx.Err()
		}
		if err != nil {
			return u.unreadable(f, err)
		}
		id, err := u.expected(f, p, at, blob)
		if err != nil || id == nil {
			return err
		}
		at++
		if err := u.w.add(u.ctx, p.Kind, *id, blob); err != nil {
			return err
		}
	}
	if err := u.w.finishPacks(u.ctx); err != nil {
		return err
	}
	return u.paid(f)
}

// paid marks a file whose parts are all acknowledged.
func (u *upload) paid(f *owedFile) error {
	err := f.snap.Paid()
	crashpoint.At("sound.paid")
	if errors.Is(err, cache.ErrChanged) || errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	return err
}
