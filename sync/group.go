package sync

import (
	"io"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// fullGroup is how many bytes of small sound an object holds at most.
const fullGroup = repo.MaxBlob / 2

// group gathers small sound of several files for one object.
type group struct {
	object *repo.AudioBuilder // nil: nothing that the bucket lacks yet
	files  []payment
}

// small adds the sound of a short file to the group.
func (u *upload) small(f *owedFile, i int) error {
	defer f.snap.Close()
	p := f.recipe.Parts[i]
	if o := u.group.object; o != nil && o.Len()+p.Size > fullGroup {
		if err := u.finishGroup(); err != nil {
			return err
		}
	}
	blob := u.w.scratch(p.Size)
	if _, err := io.ReadFull(f.reader(i), blob); err != nil {
		return u.unreadable(f, err)
	}
	id, err := u.expected(f, p, 0, blob)
	if err != nil || id == nil {
		return err
	}
	_, ok, err := u.w.o.Index.Lookup(*id)
	if err == nil && !ok {
		err = u.group.add(u.w.o.Keys, *id, blob, u.left)
	}
	if err != nil {
		return err
	}
	u.group.files = append(u.group.files, payment{f, i, []cache.Blob{{ID: *id, Size: p.Size}}})
	return nil
}

// add seals a blob into the object of the group; left is what may follow.
func (g *group) add(k *repo.Keys, id repo.ID, blob []byte, left int64) error {
	if g.object == nil {
		g.object = repo.NewAudio(k, min(left, fullGroup))
	}
	if g.object.Has(id) {
		return nil
	}
	return g.object.Add(id, blob)
}

// finishGroup uploads the group as one object. It waits for memory before the next
// group is begun.
func (u *upload) finishGroup() error {
	gr := u.group
	u.group = group{}
	if len(gr.files) == 0 {
		return nil
	}
	var n int64
	if gr.object != nil {
		n = besideFilled(gr.object.Len())
	}
	if err := u.w.flight.Acquire(u.ctx, n); err != nil {
		return nil // the error is the crew's
	}
	u.g.Go(func() error {
		defer u.w.flight.Release(n)
		if gr.object != nil {
			if err := u.putObject(gr.object.Finish()); err != nil {
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
