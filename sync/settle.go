package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
)

// settlingKey names the meta value that holds the device this home was, from the
// moment it proved to be a copy until all that the other did was taken in.
const settlingKey = "settling"

// settle looks whether the bucket has commits of this home's device that this
// home did not make: it is then a copy of another, or an old copy of itself. It
// goes on as a device of its own, from its own state: see [cache.Cache.Settle].
func (p *puller) settle(ctx context.Context) error {
	w := p.w
	was, err := w.cache.Meta(settlingKey)
	if err != nil {
		return err
	}
	if len(was) == 0 {
		if cloned, err := w.cloned(ctx, p.st); err != nil || !cloned {
			return err
		}
		was = []byte(w.o.Device.ID)
	}
	if string(was) == w.o.Device.ID {
		if err := w.becomeAnother(ctx); err != nil {
			return err
		}
		p.Copied = true
		p.st.forget() // what was listed lacks the new device
		if p.certs, _, err = repo.Devices(ctx, p.st, w.o.Keys); err != nil {
			return err
		}
	}
	return p.meet(ctx, string(was))
}

// Device is who commits; it changes where a home proves to be a copy.
func (w *Worker) Device() *repo.Device {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.o.Device
}

// Halfway tells whether a taking-in that must be whole has begun and not ended:
// the rows here are of no moment in the life of the repository.
func (w *Worker) Halfway() (bool, error) {
	b, err := w.cache.Meta("pulling")
	return len(b) > 0, err
}

// cloned tells whether the bucket has newer commits of our device than this
// home made, but for the one that was on its way when the program ended.
func (w *Worker) cloned(ctx context.Context, st store.Store) (bool, error) {
	own, err := w.ownHead()
	if err != nil {
		return false, err
	}
	lost, err := w.lostCommits()
	if err != nil {
		return false, err
	}
	newer, _, err := repo.OwnHead(ctx, st, w.o.Device.ID, own, lost...)
	if err != nil || len(newer) == 0 {
		return false, err
	}
	out, err := w.readOutgoing()
	if err != nil || out == nil || out.Name != newer[0].Key {
		return err == nil, err
	}
	if err := w.deliver(ctx, out); err != nil {
		return false, err
	}
	return len(newer) > 1, nil
}

// becomeAnother enrols anew. What was on its way under the old name is given up:
// its rows still wait.
func (w *Worker) becomeAnother(ctx context.Context) error {
	old := w.o.Device.ID
	if w.o.Enrol == nil {
		return ErrCloned
	}
	if err := w.cache.SetMeta(settlingKey, []byte(old)); err != nil {
		return err
	}
	if err := w.cache.Sync(); err != nil {
		return err
	}
	d, err := w.o.Enrol(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCloned, err)
	}
	if err := os.Remove(w.outgoingPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	w.mu.Lock()
	w.o.Device = d
	w.mu.Unlock()
	w.cache.SetDevice(d.ID)
	w.log.Warn("this home is a copy: the bucket has commits of its device that it did not make; it goes on as a device of its own",
		"was", old, "is", d.ID)
	return nil
}

// meet hands what the device this home was has committed since to the cache.
func (p *puller) meet(ctx context.Context, was string) error {
	w := p.w
	heads, err := w.o.Index.Heads()
	if err != nil {
		return err
	}
	cert, ok := p.certs[was]
	if !ok {
		return fmt.Errorf("device %s: %w", was, repo.ErrSignature)
	}
	var rows []cache.Row
	var names []cache.NameRow
	if settled, err := w.cache.Settled(); err != nil || settled { // nothing can meet
		if err == nil {
			_, err = w.cache.Settle(nil, nil, w.o.InoBase(w.o.Device), "")
		}
		return err
	}
	one := map[string]repo.Certificate{was: cert}
	err = repo.ReadLog(ctx, p.st, w.o.Keys, one, map[string]repo.Head{was: heads[was]}, func(c *repo.Commit) error {
		for _, r := range c.Inodes {
			rows = append(rows, FromRepo(r))
		}
		for _, r := range c.Names {
			names = append(names, cache.NameRow{Parent: r.In, Name: r.Name, Ino: r.Inode})
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.Beside, err = w.cache.Settle(rows, names, w.o.InoBase(w.o.Device), w.o.Device.Name)
	for _, name := range p.Beside {
		w.log.Warn("a file changed here and in the copy: what was here is kept beside it", "name", name)
	}
	return err
}

// ownHead is our newest commit: as the index has it, or, where that was lost, as
// the cache was told.
func (w *Worker) ownHead() (own repo.Head, err error) {
	heads, err := w.o.Index.Heads()
	if err != nil {
		return own, err
	}
	own = heads[w.o.Device.ID]
	var noted notedHead
	b, err := w.cache.Meta("head")
	if err != nil || b == nil {
		return own, err
	}
	if json.Unmarshal(b, &noted) == nil && noted.Device == w.o.Device.ID && noted.Seq > own.Seq {
		own = repo.Head{Seq: noted.Seq, SHA: noted.SHA}
	}
	return own, nil
}

// notedHead is our newest commit as the cache keeps it, beside the rows that are
// marked by it.
type notedHead struct {
	Device string `json:"device"`
	Seq    uint64 `json:"seq"`
	SHA    string `json:"sha"`
}

func (w *Worker) noteHead(c *repo.Commit) error {
	if c.Device != w.o.Device.ID {
		return nil
	}
	h := c.Head()
	b, err := json.Marshal(notedHead{c.Device, h.Seq, h.SHA})
	if err != nil {
		return err
	}
	return w.cache.SetMeta("head", b)
}
