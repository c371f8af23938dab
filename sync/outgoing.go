package sync

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/room"
)

// outgoing is a sealed commit on its way: it lies on this disk before it is
// sent, so that a retry, also of a later process, sends the same bytes.
type outgoing struct {
	Name  string
	Body  []byte
	Batch cache.Batch // without Rows
	Base  string
}

// decMode takes names as they are: not all are UTF-8.
var decMode, _ = cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 16 << 20, MaxMapPairs: 16 << 20}.DecMode()

func (w *Worker) outgoingPath() string { return filepath.Join(w.o.Dir, "outgoing-commit") }

// sparePath is of the file that becomes the next outgoing commit.
func (w *Worker) sparePath() string { return w.outgoingPath() + ".tmp" }

// keep writes the sealed commit to this disk, durably.
func (w *Worker) keep(out *outgoing) error {
	p, err := cbor.Marshal(out)
	if err != nil {
		return err
	}
	// The file to be written must not be the outgoing commit any more by what is
	// on the disk.
	if err := w.syncDir(); err != nil {
		return err
	}
	f, err := w.openSpare()
	if err != nil {
		return err
	}
	_, err = f.WriteAt(p, 0)
	failed := f.Sync()
	if err = errors.Join(err, failed, f.Close()); failed != nil {
		err = errors.Join(err, os.Remove(w.sparePath())) // the next attempt is another file
	}
	crashpoint.At("commit.temporary")
	if err == nil {
		err = os.Rename(w.sparePath(), w.outgoingPath())
	}
	if err != nil {
		return err
	}
	return w.syncDir()
}

// syncDir puts the names of the home's folder on the disk. A failure is final, as
// the next sync would succeed without the names that this one dropped.
func (w *Worker) syncDir() error {
	if w.dirLost != nil {
		return w.dirLost
	}
	d, err := os.Open(w.o.Dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		w.dirLost = fmt.Errorf("the disk failed to take a name, and nothing is committed until the drive is mounted anew: %w", err)
	}
	return errors.Join(w.dirLost, d.Close())
}

// openSpare opens the file that the next commit is written to, with room
// allocated: a commit must be possible on a full disk, too.
func (w *Worker) openSpare() (*os.File, error) {
	f, err := os.OpenFile(w.sparePath(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		room.Ahead(f, 0, room.Reserve(w.o.Dir)/16, 0)
	}
	return f, err
}

// putAside keeps a commit that this disk damaged, out of the way. Its rows still
// wait, and are committed anew; should the bucket have it all the same, then it
// is ahead of this home, which is noticed before anything is sent.
func (w *Worker) putAside(why error) error {
	aside := fmt.Sprintf("%s-damaged-%d", w.outgoingPath(), time.Now().Unix())
	w.log.Error("the commit that was to be sent is damaged on this disk; its changes are committed anew", "kept as", aside, "err", why)
	return os.Rename(w.outgoingPath(), aside)
}

// resend sends a commit again that a failure or the death of the program left
// between sealing and taking in.
func (w *Worker) resend(ctx context.Context) error {
	if w.dirLost != nil { // what is to be sent may not be on the disk
		return w.dirLost
	}
	out, err := w.readOutgoing()
	if err != nil || out == nil {
		return err
	}
	own, err := w.ownHead()
	if err != nil {
		return err
	}
	// A copy of this home may have committed meanwhile under the same number.
	if err := w.checkHead(ctx, own, out.Name); err != nil {
		return err
	}
	return w.deliver(ctx, out)
}

// readOutgoing reads the commit that is on its way; nil if there is none.
func (w *Worker) readOutgoing() (*outgoing, error) {
	p, err := os.ReadFile(w.outgoingPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := new(outgoing)
	if _, err := decMode.UnmarshalFirst(p, out); err != nil { // what follows is of an older, longer one
		return nil, errors.Join(err, w.putAside(err))
	}
	return out, nil
}

// keepCommit keeps a commit as it lies in the bucket, to put it back should it be lost
// there. Nothing else depends on it.
func (w *Worker) keepCommit(name string, body []byte) {
	if err := w.o.Kept.Add(name, body); err != nil {
		w.log.Warn("a commit is not kept here", "commit", name, "err", err)
	}
}

// deliver sends a sealed commit and takes it in once it is acknowledged.
func (w *Worker) deliver(ctx context.Context, out *outgoing) error {
	d := w.o.Device
	certs := map[string]repo.Certificate{d.ID: {Device: d.ID, Name: d.Name, Key: d.Key.Public().(ed25519.PublicKey)}}
	c, err := repo.DecodeCommit(w.o.Keys, certs, out.Name, out.Body)
	if err != nil {
		return errors.Join(err, w.putAside(err))
	}
	if err := w.send(ctx, out.Name, out.Body); err != nil {
		return err
	}
	crashpoint.At("commit.put")
	if c.Kind == repo.CheckpointCommit {
		if err := w.hint(ctx, c); err != nil {
			return err
		}
	}
	if err := w.o.Index.Apply(c); err != nil {
		return err
	}
	crashpoint.At("commit.indexed")
	if err := w.cache.Committed(&out.Batch, out.Base); err != nil {
		return err
	}
	crashpoint.At("commit.marked")
	if err := errors.Join(w.seen(c.Time), w.noteHead(c), w.logged(c, int64(len(out.Body)))); err != nil {
		return err
	}
	if err := w.cache.SyncRows(); err != nil {
		return err
	}
	crashpoint.At("commit.taken")
	w.letGo(c)
	w.keepCommit(out.Name, out.Body)
	w.o.Committed(c)
	w.mu.Lock()
	w.last = c.Time
	w.mu.Unlock()
	w.log.Info("committed", "seq", c.Seq, "kind", c.Kind, "inodes", len(c.Inodes), "names", len(c.Names), "objects", len(c.Puts), "bytes", len(out.Body))
	return os.Rename(w.outgoingPath(), w.sparePath())
}
