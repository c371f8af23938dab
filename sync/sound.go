package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
)

// sound uploads owed parts for a while, each read once: hashed, looked up, and
// sent if the bucket lacks it. done is false if it stopped to let new labour go
// first.
func (w *Worker) sound(ctx context.Context) (done bool, err error) {
	debts, err := w.cache.Owed()
	if err != nil || len(debts) == 0 {
		return true, err
	}
	if err := w.bucket.check(ctx, w); err != nil { // before anything is sealed
		return false, err
	}
	u := &upload{w: w, until: time.Now().Add(sliceOfSound), sending: sending{under: map[repo.ID][]*waiting{}}}
	if u.busy, _, err = w.cache.Uncut(w.o.Settle, 0, roundFiles); err != nil {
		return false, err
	}
	u.ctx = ctx
	if debts, err = u.labourFirst(ctx, debts); err != nil {
		return false, err
	}
	w.setPhase(phaseSound)
	u.transfers = w.transfers()
	u.g = newCrew(ctx, u.transfers)
	u.ctx = u.g.ctx
	done, err = u.all(debts)
	if err == nil {
		err = u.finishGroup()
	}
	if werr := u.g.Wait(); werr != nil {
		err = werr
	}
	w.sent += u.sent.Load()
	return done && !u.stopped, errors.Join(err, ctx.Err())
}

// labourFirst makes a commit of names and tags before much sound is uploaded. It
// returns what is owed still.
//
// Up to what is read within a second or two the sound is looked at first: it may
// all be known to the bucket, as that of a copied album, and then one commit says
// everything.
func (u *upload) labourFirst(ctx context.Context, debts []cache.Debt) ([]cache.Debt, error) {
	waits, err := u.w.cache.LabourWaits()
	if err != nil || !waits {
		return debts, err
	}
	var sum int64
	for _, d := range debts {
		sum += d.Bytes
	}
	rate := u.w.rate()
	if rate == 0 {
		rate = unknownLine
	}
	if sum < labourFirst && float64(sum)/rate < 30 {
		return debts, nil
	}
	if sum < unreadFirst {
		for len(debts) > 0 {
			known, err := u.known(debts[0].Ino)
			if err != nil {
				return debts, err
			}
			if !known {
				break
			}
			debts = debts[1:]
		}
	}
	if len(debts) == 0 {
		return nil, nil
	}
	return debts, u.w.commitRows(ctx)
}

// upload is one call of sound. The goroutine of Run makes the objects, one after another,
// while the crew sends those that are made: the line is not to wait for the next one, and
// what does not begin together does not end together.
type upload struct {
	w         *Worker
	g         *crew
	transfers int             // the size of the crew
	ctx       context.Context //nolint:containedctx // the crew's
	until     time.Time       // the end of the slice
	busy      []cache.Ino     // what could not be cut when it began
	asked     int64           // Unix second in which stop last looked
	stopped   bool            // amid a file, for new labour
	group     group
	left      int64         // bytes that are owed by the files not begun
	chunker   *repo.Chunker // of sound of more than one blob
	sent      atomic.Int64  // bytes that were not reckoned to w.sent yet
	sending   sending
}

// payment is a part of a file that is paid once its blobs are acknowledged.
type payment struct {
	file  *owedFile
	part  int
	blobs []cache.Blob
}

// owedFile is a file whose owed parts are being uploaded.
type owedFile struct {
	snap   *cache.Snapshot
	recipe *cache.Recipe
}

func (f *owedFile) layout() (l split.Layout) {
	for _, r := range f.recipe.Runs {
		l.Runs = append(l.Runs, split.Run(r))
	}
	return l
}

func (f *owedFile) reader(part int) io.Reader {
	return &partReader{r: f.snap, l: f.layout(), part: part}
}

func (u *upload) all(debts []cache.Debt) (done bool, err error) {
	for _, d := range debts {
		u.left += d.Bytes
	}
	for _, d := range debts {
		if u.ctx.Err() != nil {
			return false, nil // the error is the group's
		}
		if goesOn, err := u.goesOn(); err != nil || !goesOn {
			return false, err
		}
		if err := u.commitIfDue(); err != nil {
			return false, err
		}
		if err := u.file(d.Ino); err != nil {
			return false, err
		}
		u.left -= d.Bytes
	}
	return true, nil
}

// goesOn tells whether more may follow what is on its way. Once the slice is over it may if
// nothing waits to be cut, nobody waits for the turn, and the line is as fast as it was
// taken to be; else all that is on its way has to arrive first.
func (u *upload) goesOn() (bool, error) {
	now := time.Now()
	if now.Before(u.until) {
		return true, nil
	}
	ready, next, err := u.w.cache.Uncut(u.w.o.Settle, 0, 1)
	if err != nil || len(ready) > 0 || !next.IsZero() || u.w.turn.wanted() || u.w.transfers() != u.transfers {
		return false, err
	}
	u.until = now.Add(sliceOfSound)
	return true, nil
}

// commitIfDue commits what has arrived, while the rest goes on.
func (u *upload) commitIfDue() error {
	u.w.sent += u.sent.Swap(0)
	if u.w.sent < commitBytes && !u.w.overdue() {
		return nil
	}
	if err := u.w.commitAll(u.ctx); err != nil {
		return err
	}
	u.w.commitDue = time.Now().Add(longestSettle)
	u.w.setPhase(phaseSound)
	return nil
}

// open takes a file in hand; nil if it is gone, in use, or to be cut again.
func (u *upload) open(ino cache.Ino) (*owedFile, error) {
	r, current, err := u.w.cache.RecipeOf(ino)
	if errors.Is(err, cache.ErrNotExist) || err == nil && !current {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	snap, err := u.w.cache.Snapshot(ino)
	switch {
	case errors.Is(err, cache.ErrBusy), errors.Is(err, cache.ErrNotExist), errors.Is(err, cache.ErrStale):
		return nil, nil
	case err != nil:
		return nil, err
	case snap.Size != r.Size: // the content is not what was cut
		snap.Close()
		return nil, u.recut(ino)
	}
	return &owedFile{snap, r}, nil
}

// file begins the upload of what a file owes.
func (u *upload) file(ino cache.Ino) error {
	f, err := u.open(ino)
	if f == nil {
		return err
	}
	for i, p := range f.recipe.Parts {
		if !p.Owed {
			continue
		}
		switch {
		case p.Kind != repo.Audio:
			return u.data(f, i)
		case p.Size < packedBelow:
			return u.small(f, i)
		}
		return u.large(f, i) // should another part be owed, it is the next call's
	}
	f.snap.Close()
	return nil
}

// known reads what a file owes, and reports whether the bucket has it all; then
// it is owed no more.
func (u *upload) known(ino cache.Ino) (bool, error) {
	f, err := u.open(ino)
	if f == nil {
		return false, err
	}
	defer f.snap.Close()
	for i, p := range f.recipe.Parts {
		if !p.Owed {
			continue
		}
		found, err := u.look(f, i)
		if err != nil || found == nil {
			return false, err
		}
		if err := u.paid(payment{f, i, found}); err != nil {
			return false, err
		}
	}
	return true, nil
}

// look reads a part and returns its blobs, or nil if the bucket lacks one.
func (u *upload) look(f *owedFile, i int) (found []cache.Blob, err error) {
	p := f.recipe.Parts[i]
	if _, _, ok := alone(f.layout(), i, p.Kind); ok {
		return nil, nil // takes its time
	}
	for _, b := range p.Blobs { // the cut found that they are lacking
		if _, ok, err := u.w.o.Index.Lookup(b.ID); err != nil || !ok {
			return nil, err
		}
	}
	buf := u.w.buffers.get(min(p.Size, repo.MaxBlob))
	defer u.w.buffers.put(buf)
	for blob, err := range blobs(f.reader(i), p.Kind, p.Size, buf) {
		if err == nil {
			err = u.ctx.Err()
		}
		if err != nil {
			return nil, u.unreadable(f, err)
		}
		id := u.w.o.Keys.BlobID(blob)
		if _, ok, err := u.w.o.Index.Lookup(id); err != nil || !ok {
			return nil, err
		}
		found = append(found, cache.Blob{ID: id, Size: int64(len(blob))})
	}
	return found, nil
}

// stop tells an upload amid a long file whether it has to let new labour go
// first: the slice is over, and a file waits to be cut that did not at its start.
func (u *upload) stop() bool {
	now := time.Now()
	if now.Before(u.until) || now.Unix() == u.asked { // once a second is enough
		return false
	}
	u.asked = now.Unix()
	ready, _, err := u.w.cache.Uncut(u.w.o.Settle, 0, len(u.busy)+1) // one of so many is new
	isNew := func(ino cache.Ino) bool { return !slices.Contains(u.busy, ino) }
	if err != nil || !slices.ContainsFunc(ready, isNew) {
		return false
	}
	u.stopped = true
	return true
}

// expected names a blob; nil if it is not what the cut read.
func (u *upload) expected(f *owedFile, p cache.Part, at int, blob []byte) (*repo.ID, error) {
	id := u.w.o.Keys.BlobID(blob)
	if same, err := u.same(f, p, at, id); err != nil || !same {
		return nil, err
	}
	return &id, nil
}

// same reports whether a blob is what it was for the cut, where that read the part, too.
// If it is not, the file is cut again.
func (u *upload) same(f *owedFile, p cache.Part, at int, id repo.ID) (bool, error) {
	if len(p.Blobs) == 0 || at < len(p.Blobs) && p.Blobs[at].ID == id {
		return true, nil
	}
	return false, u.recut(f.snap.Ino)
}

func (u *upload) recut(ino cache.Ino) error {
	u.w.log.Warn("a file changed between cut and upload", "ino", ino)
	return u.w.cache.Recut(ino)
}

func (u *upload) unreadable(f *owedFile, err error) error {
	if u.ctx.Err() != nil {
		return u.ctx.Err()
	}
	if !errors.Is(err, cache.ErrStale) {
		u.w.report(fmt.Errorf("reading inode %x: %w", f.snap.Ino, err))
	}
	return nil
}

// data uploads the chunks of an unrecognised file in packs.
func (u *upload) data(f *owedFile, i int) error {
	defer f.snap.Close()
	p := f.recipe.Parts[i]
	if at, _, ok := alone(f.layout(), i, p.Kind); ok {
		return u.largeData(f, i, at)
	}
	var found []cache.Blob
	for blob, err := range blobs(f.reader(i), p.Kind, p.Size, nil) {
		if err == nil && u.ctx.Err() != nil {
			return u.ctx.Err()
		}
		if err != nil {
			return u.unreadable(f, err)
		}
		id, err := u.expected(f, p, len(found), blob)
		if err != nil || id == nil {
			return err
		}
		found = append(found, cache.Blob{ID: *id, Size: int64(len(blob))})
		if err := u.w.add(u.ctx, p.Kind, *id, blob); err != nil {
			return err
		}
		if u.stop() {
			return u.w.finishPacks(u.ctx)
		}
	}
	if err := u.w.finishPacks(u.ctx); err != nil {
		return err
	}
	return u.paid(payment{f, i, found})
}

// paid marks a part whose blobs are all acknowledged.
func (u *upload) paid(p payment) error {
	err := p.file.snap.Paid(p.part, p.blobs)
	crashpoint.At("sound.paid")
	if errors.Is(err, cache.ErrChanged) || errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrStale) {
		return nil
	}
	return err
}
