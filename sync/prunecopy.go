package sync

import (
	"context"
	"fmt"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// rewrite copies what is needed of sparse packs into new ones.
func (p *pruner) rewrite(ctx context.Context, f *found) error {
	if len(f.sparse) == 0 {
		return nil
	}
	blobs, err := f.needs.Blobs(f.sparse)
	if err != nil {
		return err
	}
	out := copier{w: p.w, ctx: ctx, packs: map[string]*pack{}}
	for _, u := range f.sparse {
		row, _, err := p.w.o.Index.Object(u.Object.Name)
		if err != nil {
			return err
		}
		kinds := row.BlobKinds()
		for _, id := range blobs[u.Object.Name] {
			if _, acked := p.w.o.Index.UnplacedBlob(id); acked { // by a prune that was cut short
				continue
			}
			blob, err := p.w.o.Reader.Blob(ctx, id)
			if err != nil {
				return fmt.Errorf("copying what is needed of %s: %w", u.Object.Name, err)
			}
			if err := out.add(kinds[id], id, blob); err != nil {
				return err
			}
		}
		p.w.o.Reader.Drop(u.Object.Name)
	}
	return out.finish()
}

// copier fills new packs.
type copier struct {
	w     *Worker
	ctx   context.Context //nolint:containedctx // of one rewrite
	packs map[string]*pack
	sound *repo.AudioBuilder
}

func (c *copier) add(kind string, id repo.ID, blob []byte) error {
	if kind == repo.Audio {
		return c.addSound(id, blob)
	}
	b := c.packs[kind]
	if b != nil && (b.Len() > fullPack || !b.Fits(int64(len(blob)))) {
		if err := c.put(b.Finish()); err != nil {
			return err
		}
		b = nil
	}
	if b == nil {
		b = repo.NewPack(c.w.o.Keys, kind)
		c.packs[kind] = b
	}
	b.Add(id, blob)
	return nil
}

func (c *copier) addSound(id repo.ID, blob []byte) error {
	if c.sound != nil && c.sound.Len()+int64(len(blob)) > fullGroup {
		if err := c.put(c.sound.Finish()); err != nil {
			return err
		}
		c.sound = nil
	}
	if c.sound == nil {
		c.sound = repo.NewAudio(c.w.o.Keys, fullGroup)
	}
	if c.sound.Has(id) {
		return nil
	}
	return c.sound.Add(id, blob)
}

func (c *copier) finish() error {
	for _, b := range repo.JoinPacks(c.packs, joinedPack) {
		if err := c.put(b.Finish()); err != nil {
			return err
		}
	}
	if c.sound != nil {
		return c.put(c.sound.Finish())
	}
	return nil
}

func (c *copier) put(s *repo.Sealed, row repo.ObjectRow, err error) error {
	if err != nil {
		return err
	}
	defer s.Release()
	return c.w.put(c.ctx, s, row)
}
