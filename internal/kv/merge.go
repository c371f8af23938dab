package kv

import (
	"encoding/binary"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/room"
)

// Flush merges everything applied so far into bbolt. Where the disk has no room
// for it, nothing is lost, and a later Flush goes on.
func (d *DB) Flush() error {
	d.flushMu.Lock()
	defer d.flushMu.Unlock()
	if err := d.mergeFrozen(); err != nil { // what an earlier one left
		return err
	}
	d.mu.Lock()
	if d.failed != nil || d.log.size.Load() == 0 {
		defer d.mu.Unlock()
		return d.failed
	}
	next, err := newJournal(d.dir, d.log.seq+1, journalRoom(d.opt.Reserve))
	if err != nil {
		d.mu.Unlock()
		if errors.Is(err, errSync) {
			return d.fail(err)
		}
		return err
	}
	d.frozen, d.old, d.before = d.active, []*journal{d.log}, link{d.log.seq, d.log.size.Load()}
	d.active, d.log = newOverlay(), next
	d.mu.Unlock()
	crashpoint.At("merge.switched")
	return d.mergeFrozen()
}

// mergeFrozen takes the frozen overlay, if there is one, into bbolt. flushMu is
// held, but for while the database is being opened.
func (d *DB) mergeFrozen() error {
	if d.frozen == nil {
		return nil
	}
	newest := d.merged
	for _, j := range d.old {
		newest = max(newest, j.seq)
		if err := j.sync(); err != nil {
			return d.fail(err)
		}
	}
	crashpoint.At("merge.synced")
	note := op{bucket: Bucket(len(d.names) - 1), key: mergedKey, value: binary.BigEndian.AppendUint64(nil, newest)}
	err := d.merge(append(d.frozen.rows(), note)) // last, so that it is in the last piece
	if err != nil && !room.IsFull(err) {
		return d.fail(err)
	}
	crashpoint.At("merge.done")
	d.mu.Lock()
	d.full = err
	old := d.old
	if err == nil {
		d.frozen, d.old, d.merged = nil, nil, newest
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	var errs []error
	for _, j := range old {
		errs = append(errs, j.retire(journalRoom(d.opt.Reserve)))
	}
	d.reserve()
	return errors.Join(errs...)
}

// fill is how full a page is left that is divided. Most rows come at the end, as
// inode numbers grow, and stay.
const fill = 0.9

// smallMerge is how many rows are not worth dividing on a full disk: at worst
// each needs a new leaf page.
const smallMerge = 64

// merge writes rows into bbolt in one synced transaction, or, where there is no
// room for that, in several: their journals are kept until all are done.
func (d *DB) merge(rows []op) error {
	err := d.bolt.Update(func(tx *bolt.Tx) error {
		for _, r := range rows {
			bk := tx.Bucket(d.names[r.bucket])
			bk.FillPercent = fill
			var err error
			if r.gone {
				err = bk.Delete(r.key)
			} else {
				err = bk.Put(r.key, r.value)
			}
			if err != nil {
				return err
			}
			d.bolt.Visited(tx, 1)
		}
		return nil
	})
	if !room.IsFull(err) || len(rows) <= smallMerge {
		return err
	}
	half := len(rows) / 2
	if err := d.merge(rows[:half]); err != nil {
		return err
	}
	return d.merge(rows[half:])
}

func (d *DB) flusher() {
	defer close(d.done)
	t := time.NewTicker(d.opt.FlushEvery)
	defer t.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-d.wake:
		case <-t.C:
		}
		d.Flush() // an error is kept in d.failed, or met again by the next Apply
	}
}
