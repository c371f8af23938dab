package sync

import (
	gosync "sync"
	"sync/atomic"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// sending is the sound on its way, each blob once, and what waits for it.
type sending struct {
	mu    gosync.Mutex
	under map[repo.ID][]*waiting
}

// waiting is a part of a file that is paid once it was read and nothing of it is on its way
// any more.
type waiting struct {
	payment
	read bool         // to its end
	n    atomic.Int32 // blobs on their way, and one while it is read
}

// large has the sound of one file uploaded, an object a blob.
func (u *upload) large(f *owedFile, i int) error {
	pay := &waiting{payment: payment{file: f, part: i}}
	pay.n.Store(1)
	read := u.long
	if f.recipe.Parts[i].Size <= repo.MaxBlob {
		read = u.whole
	}
	err := read(f, f.recipe.Parts[i], pay)
	f.snap.Close() // before it is paid: it looks a last time whether the file held still
	if err != nil || !pay.read {
		return err
	}
	return u.less(pay)
}

// long has sound uploaded that is several blobs.
func (u *upload) long(f *owedFile, p cache.Part, pay *waiting) error {
	if u.chunker == nil {
		u.chunker = repo.NewChunker(repo.AudioMin, repo.AudioNormal, repo.AudioMax)
	}
	for blob, err := range u.chunker.Chunks(f.reader(pay.part)) {
		if err != nil {
			return u.unreadable(f, err)
		}
		id, err := u.expected(f, p, len(pay.blobs), blob)
		if err != nil || id == nil {
			return err
		}
		pay.blobs = append(pay.blobs, cache.Blob{ID: *id, Size: int64(len(blob))})
		if err := u.chunk(*id, blob, pay); err != nil {
			return err
		}
		if u.stop() {
			return nil // what was sent is found again, and not sent
		}
	}
	pay.read = true
	return nil
}

// chunk has a blob of long sound uploaded unless the bucket has it. It waits for memory before.
func (u *upload) chunk(id repo.ID, blob []byte, pay *waiting) error {
	if known, err := u.has(id, pay); err != nil || known {
		return err
	}
	weight := repo.LoadedSize(int64(len(blob)))
	if err := u.w.flight.Acquire(u.ctx, weight); err != nil {
		return err
	}
	s, row, err := repo.SealAudio(u.w.o.Keys, repo.Blob{ID: id, Data: blob})
	if err != nil {
		u.w.flight.Release(weight)
		return err
	}
	u.send(id, s, row, weight, pay)
	return nil
}

// whole has sound uploaded that is one blob. It waits for memory before it reads it.
func (u *upload) whole(f *owedFile, p cache.Part, pay *waiting) error {
	weight := repo.LoadedSize(p.Size)
	if err := u.w.flight.Acquire(u.ctx, weight); err != nil {
		return err
	}
	sent, err := u.load(f, p, pay, weight)
	if !sent {
		u.w.flight.Release(weight)
	}
	return err
}

// load reads sound that is one blob, and tells whether it is being sent.
func (u *upload) load(f *owedFile, p cache.Part, pay *waiting, weight int64) (sent bool, err error) {
	sound, err := u.w.o.Keys.LoadAudio(f.reader(pay.part), p.Size)
	if err != nil {
		return false, u.unreadable(f, err)
	}
	defer sound.Release()
	id := sound.ID()
	if same, err := u.same(f, p, 0, id); err != nil || !same {
		return false, err
	}
	pay.blobs, pay.read = []cache.Blob{{ID: id, Size: p.Size}}, true
	if known, err := u.has(id, pay); err != nil || known {
		return false, err
	}
	s, row, err := sound.Seal()
	if err != nil {
		return false, err
	}
	u.send(id, s, row, weight, pay)
	return true, nil
}

// has tells whether a blob need not be sent: it is on its way, and pay waits for it, or the
// bucket has it.
func (u *upload) has(id repo.ID, pay *waiting) (bool, error) {
	u.sending.mu.Lock()
	others, under := u.sending.under[id]
	if under {
		pay.n.Add(1)
		u.sending.under[id] = append(others, pay)
	}
	u.sending.mu.Unlock()
	if under {
		return true, nil
	}
	_, ok, err := u.w.o.Index.Lookup(id) // which finds it before it is on its way no more
	return ok, err
}

// send has the crew upload an object of one blob, which is acknowledged and journalled
// before anything is paid. Its memory is given back then.
func (u *upload) send(id repo.ID, s *repo.Sealed, row repo.ObjectRow, weight int64, pay *waiting) {
	pay.n.Add(1)
	u.sending.mu.Lock()
	u.sending.under[id] = []*waiting{pay}
	u.sending.mu.Unlock()
	u.g.Go(func() error {
		defer u.w.flight.Release(weight)
		if err := u.putObject(s, row, nil); err != nil {
			return err
		}
		u.sending.mu.Lock()
		pays := u.sending.under[id]
		delete(u.sending.under, id)
		u.sending.mu.Unlock()
		for _, p := range pays {
			if err := u.less(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// less has pay wait for one thing less.
func (u *upload) less(pay *waiting) error {
	if pay.n.Add(-1) > 0 {
		return nil
	}
	return u.paid(pay.payment)
}

// putObject uploads a sealed object of sound.
func (u *upload) putObject(s *repo.Sealed, row repo.ObjectRow, err error) error {
	if err != nil {
		return err
	}
	defer s.Release()
	if err := u.w.put(u.ctx, s, row); err != nil {
		return err
	}
	u.sent.Add(int64(len(s.Body)))
	return nil
}
