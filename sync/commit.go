package sync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	gosync "sync"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// ErrCloned: the bucket has commits of this device that this home does not
// know. The home was restored from a backup, or copied and used elsewhere.
var ErrCloned = errors.New("this home was restored or copied: the bucket has newer commits of the same device")

// commitAll commits everything that can be, and makes a checkpoint if one is due.
func (w *Worker) commitAll(ctx context.Context) error {
	if err := w.commitRows(ctx); err != nil {
		return err
	}
	w.sent, w.commitDue = 0, time.Time{}
	return w.checkpointIfDue(ctx)
}

func (w *Worker) commitRows(ctx context.Context) error { return w.commitRowsTo(ctx, math.MaxUint64) }

// commitRowsTo commits the rows of inodes up to one.
func (w *Worker) commitRowsTo(ctx context.Context, last cache.Ino) error {
	for {
		b, more, err := w.cache.PendingTo(rowsOfCommit, last)
		if err != nil {
			return err
		}
		if b.Empty() {
			if len(b.Done) > 0 {
				err = w.cache.Committed(b, "")
			}
			w.version = w.cache.Version()
			return errors.Join(err, w.sayHeard(ctx), w.noteLabour())
		}
		w.setPhase(phaseCommit)
		if err := w.commit(ctx, b); err != nil {
			return err
		}
		w.version = w.cache.Version()
		if !more {
			return w.noteLabour()
		}
	}
}

// sayHeard makes a commit without rows if another device waits for one.
func (w *Worker) sayHeard(ctx context.Context) error {
	said, err := w.seenOf(map[string]repo.Head{})
	if err != nil || !said {
		return err
	}
	return w.publish(ctx, &repo.Commit{Kind: repo.Changes}, nil)
}

// commit builds, sends and takes in one commit of changes. It takes as much memory as packs do,
// so these give theirs up.
func (w *Worker) commit(ctx context.Context, b *cache.Batch) error {
	repo.ForgetBodies()
	c := &repo.Commit{Kind: repo.Changes}
	if err := w.placed(b); err != nil {
		return err
	}
	c.Inodes, c.Names = make([]repo.InodeRow, 0, len(b.Rows)), make([]repo.NameRow, 0, len(b.Names))
	for _, r := range b.Rows {
		c.Inodes = append(c.Inodes, toRepo(r))
	}
	for _, n := range b.Names {
		c.Names = append(c.Names, repo.NameRow{In: n.Parent, Name: n.Name, Inode: n.Ino})
	}
	if len(c.Inodes)+len(c.Names) == 0 {
		return nil
	}
	return w.publish(ctx, c, b)
}

// placed takes from the batch every file that names a blob which no acknowledged
// object holds, with its names, and has it cut again. It should never find one;
// nothing in the log may depend on that.
func (w *Worker) placed(b *cache.Batch) error {
	kept := b.Rows[:0]
	dropped := map[cache.Ino]bool{}
	for _, r := range b.Rows {
		missing, err := w.missing(r.Recipe)
		if err != nil {
			return err
		}
		if !missing {
			kept = append(kept, r)
			continue
		}
		w.log.Warn("a file names a blob that is not in the bucket; it is uploaded again", "ino", r.Ino)
		delete(b.Vers, r.Ino)
		dropped[r.Ino] = true
		if err := w.cache.Recut(r.Ino); err != nil {
			return err
		}
	}
	b.Rows = kept
	b.DropNames(dropped)
	return nil
}

func (w *Worker) missing(r *cache.Recipe) (bool, error) {
	if r == nil {
		return false, nil
	}
	var ids []cache.Blob
	for _, p := range r.Parts {
		if !p.Owed {
			ids = append(ids, p.Blobs...)
		}
	}
	if r.More != nil {
		ids = append(ids, *r.More)
	}
	var last repo.ID
	for _, b := range ids {
		if b.IsZeros() || b.ID == last {
			continue
		}
		last = b.ID
		if _, ok, err := w.o.Index.Lookup(b.ID); err != nil || !ok {
			return true, err
		}
	}
	return false, nil
}

// publish completes a commit with what the device knows, seals it, and sends it.
func (w *Worker) publish(ctx context.Context, c *repo.Commit, b *cache.Batch) error {
	heads, err := w.o.Index.Heads()
	if err != nil {
		return err
	}
	own := heads[w.o.Device.ID]
	if err := w.checkHead(ctx, own, ""); err != nil {
		return err
	}
	delete(heads, w.o.Device.ID)
	said, err := w.seenOf(heads)
	if err != nil {
		return err
	}
	c.Seq, c.Prev, c.Seen, c.Lock = own.Seq+1, own.SHA, heads, w.o.Lock
	c.Puts = append(c.Puts, w.unplaced(c.Puts)...)
	if own.Seq == 0 {
		if c.Repo, err = repo.RepoHash(ctx, w.o.Store, w.o.Keys); err != nil {
			return err
		}
	}
	if c.Time, err = w.stamp(); err != nil {
		return err
	}
	s, err := repo.EncodeCommit(w.o.Keys, w.o.Device, c)
	if err != nil {
		return err
	}
	crashpoint.At("commit.sealed")
	out := outgoing{Name: s.Name, Body: s.Body, Base: fmt.Sprintf("%s:%d", w.o.Device.ID, c.Seq)}
	if b != nil {
		out.Batch = *b
		out.Batch.Rows = nil
	}
	if err := w.cache.SyncRows(); err != nil { // the bucket must not know more than this disk
		return err
	}
	if err := w.keep(&out); err != nil {
		return err
	}
	crashpoint.At("commit.written")
	if err := w.deliver(ctx, &out); err != nil {
		return err
	}
	if !said {
		return nil
	}
	return w.cache.SetMeta(heardKey, nil)
}

// unplaced lists the acknowledged objects that no commit places yet, but for
// those that the commit puts anyway.
func (w *Worker) unplaced(puts []repo.ObjectRow) (rows []repo.ObjectRow) {
	has := map[string]bool{}
	for _, p := range puts {
		has[p.Name] = true
	}
	for _, r := range w.o.Index.Unplaced() {
		if !has[r.Name] {
			rows = append(rows, r)
		}
	}
	return rows
}

// checkHead compares our newest commit in the bucket with the one we remember;
// one that is on its way may be there, too.
func (w *Worker) checkHead(ctx context.Context, own repo.Head, sent string) error {
	lost, err := w.lostCommits()
	if err != nil {
		return err
	}
	newer, epoch, err := repo.OwnHead(ctx, w.o.Store, w.o.Device.ID, own, lost...)
	if err != nil {
		return err
	}
	if err := w.meetEpoch(ctx, epoch); err != nil {
		return err
	}
	if len(newer) > 0 && newer[0].Key != sent {
		return fmt.Errorf("%w (%s)", ErrCloned, newer[len(newer)-1].Key)
	}
	return nil
}

// meetEpoch takes a key epoch of which our log tells, so that nothing more is sealed
// for those to whom it is closed. One that cannot be taken is asked for once.
func (w *Worker) meetEpoch(ctx context.Context, epoch int) error {
	if epoch <= max(w.o.Keys.Epoch(), int(w.epoch.Load())) {
		return nil
	}
	_, bad, err := repo.Devices(ctx, w.o.Store, w.o.Keys)
	if err != nil {
		return err
	}
	w.epoch.Store(int64(epoch))
	for _, e := range bad {
		w.report(e)
	}
	w.log.Info("a key epoch has begun", "epoch", w.o.Keys.Epoch())
	return nil
}

// stamp is the time of the next commit: the clock's, but later than any commit seen.
func (w *Worker) stamp() (time.Time, error) {
	now := w.o.Now().UTC().Truncate(time.Millisecond)
	b, err := w.cache.Meta("newest")
	if err != nil {
		return now, err
	}
	if b != nil {
		var last time.Time
		if err := last.UnmarshalText(b); err == nil && !now.After(last) {
			now = last.Add(time.Millisecond)
		}
	}
	return now, nil
}

// seen remembers the time of a commit for stamp.
func (w *Worker) seen(t time.Time) error {
	b, err := t.MarshalText()
	if err != nil {
		return err
	}
	if old, err := w.cache.Meta("newest"); err != nil || string(old) >= string(b) {
		return err
	}
	return w.cache.SetMeta("newest", b)
}

// chain is how far the log has grown since the last checkpoint.
type chain struct {
	Commits int   `json:"commits"`
	Bytes   int64 `json:"bytes"` // of commits since
	Size    int64 `json:"size"`  // of the last checkpoint
}

func (w *Worker) chain() (ch chain, err error) {
	b, err := w.cache.Meta("chain")
	if err == nil && b != nil {
		err = json.Unmarshal(b, &ch)
	}
	return ch, err
}

func (w *Worker) setChain(ch chain) error {
	b, err := json.Marshal(ch)
	if err != nil {
		return err
	}
	return w.cache.SetMeta("chain", b)
}

// logged counts a commit of ours.
func (w *Worker) logged(c *repo.Commit, n int64) error {
	ch, err := w.chain()
	if err != nil {
		return err
	}
	if c.Kind == repo.CheckpointCommit {
		ch = chain{Size: sizeOf(c.Rows)}
	} else {
		ch.Commits++
		ch.Bytes += n
	}
	return w.setChain(ch)
}

func sizeOf(refs []repo.BlobRef) (n int64) {
	for _, r := range refs {
		n += r.Size
	}
	return n
}

// sameBucket remembers for one pass that the bucket is the one we left: one that
// was emptied, rolled back or exchanged is sent nothing at all.
type sameBucket struct {
	mu gosync.Mutex
	is bool
}

func (b *sameBucket) forget() {
	b.mu.Lock()
	b.is = false
	b.mu.Unlock()
}

// check looks for our newest commit, or, before the first, for the repository.
func (b *sameBucket) check(ctx context.Context, w *Worker) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.is {
		return nil
	}
	own, err := w.ownHead()
	if err == nil && own.Seq == 0 {
		_, err = repo.RepoHash(ctx, w.o.Store, w.o.Keys)
	}
	if err == nil {
		err = w.checkHead(ctx, own, "")
	}
	b.is = err == nil
	return err
}
