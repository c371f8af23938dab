// Package kv is an ordered key-value store for rows that change often and must
// never be lost: a bbolt database behind an append-only journal.
//
// A bbolt transaction for each small change would write a page set and sync it
// (24–37 KB and 0.7 ms for one created file). Here a change is one record
// appended to the journal with one write(2), which survives the death of the
// program; [DB.Sync] makes all records so far survive a power loss. Every few
// seconds the records are taken into bbolt in one synced transaction and their
// journal is removed. Until then an overlay in memory answers for them.
//
// # Invariants
//
//   - A batch is applied whole or not at all, in the order of [DB.Apply].
//   - A journal is removed only after the bbolt transaction that holds its
//     records is on disk. Replaying one twice changes nothing: records are
//     final values.
//   - A record that is torn or fails its checksum ends the replay of its
//     journal. Only what was not synced can be torn.
//   - After a failed sync nothing more is accepted: what the kernel dropped is
//     unknown, and a later sync that succeeds would be a lie.
package kv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
)

// Bucket numbers one of the buckets named at [Open].
type Bucket uint8

// Options adjust a DB; the zero value is right for a drive.
type Options struct {
	FlushBytes int64         // journal size that starts a merge; default 4 MiB
	FlushEvery time.Duration // longest wait for a merge; default 5 s
	BeforeSync func() error  // runs before rows are made durable by a merge: what they speak of comes first
}

// DB is the store. All methods are safe for concurrent use.
type DB struct {
	dir   string
	names [][]byte
	opt   Options
	bolt  *bolt.DB

	mu     sync.RWMutex // guards what follows
	active *overlay
	frozen *overlay // being merged into bbolt; nil if none
	log    *journal
	old    *journal // the frozen overlay's journal
	failed error

	flushMu sync.Mutex // one merge at a time
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// ErrLocked: another process has the database open.
var ErrLocked = errors.New("database in use by another process")

var metaBucket = []byte("kv")

// Open opens or makes the database in dir and takes in what the journals hold.
// The order of names is part of the format: append, never reorder.
func Open(dir string, names []string, o Options) (*DB, error) {
	if o.FlushBytes == 0 {
		o.FlushBytes = 4 << 20
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = 5 * time.Second
	}
	b, err := bolt.Open(filepath.Join(dir, "namespace.db"), 0o600, &bolt.Options{
		Timeout: time.Second, FreelistType: bolt.FreelistMapType, NoFreelistSync: true,
	})
	if errors.Is(err, bolt.ErrTimeout) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Join(dir, "namespace.db"), err)
	}
	d := &DB{dir: dir, opt: o, bolt: b, active: newOverlay(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	for _, n := range names {
		d.names = append(d.names, []byte(n))
	}
	if err := d.recover(); err != nil {
		b.Close()
		return nil, err
	}
	go d.flusher()
	return d, nil
}

// recover makes the buckets, replays the journals left behind into bbolt, and
// starts a new one.
func (d *DB) recover() error {
	err := d.bolt.Update(func(tx *bolt.Tx) error {
		for _, n := range append([][]byte{metaBucket}, d.names...) {
			if _, err := tx.CreateBucketIfNotExists(n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	seqs, err := journals(d.dir)
	if err != nil {
		return err
	}
	next := uint64(1)
	for _, s := range seqs {
		if err := replay(journalPath(d.dir, s), d.active.apply); err != nil {
			return err
		}
		next = s + 1
	}
	if len(seqs) > 0 {
		if err := d.merge(d.active); err != nil {
			return err
		}
		crashpoint.At("replay.merged")
		d.active = newOverlay()
	}
	if d.log, err = newJournal(d.dir, next); err != nil {
		return err
	}
	crashpoint.At("replay.journal")
	for _, s := range seqs {
		if err := os.Remove(journalPath(d.dir, s)); err != nil {
			return err
		}
	}
	return nil
}

// Get returns a copy of the value of key, and whether there is one.
func (d *DB) Get(b Bucket, key []byte) ([]byte, bool, error) {
	d.mu.RLock()
	e, ok := d.active.get(b, key)
	if !ok && d.frozen != nil {
		e, ok = d.frozen.get(b, key)
	}
	d.mu.RUnlock()
	if ok {
		return e.value, !e.gone, nil
	}
	var v []byte
	err := d.bolt.View(func(tx *bolt.Tx) error {
		if p := tx.Bucket(d.names[b]).Get(key); p != nil {
			v = append(make([]byte, 0, len(p)), p...)
		}
		return nil
	})
	return v, v != nil, err
}

// Apply appends the batch to the journal and makes it visible. When it returns
// nil the batch survives the death of the program.
func (d *DB) Apply(b *Batch) error {
	if len(b.ops) == 0 {
		return nil
	}
	rec := b.encode()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	if err := d.log.append(rec); err != nil {
		return err
	}
	crashpoint.At("journal.appended")
	d.active.apply(b.ops)
	if d.log.size > d.opt.FlushBytes {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// Sync makes every batch applied before the call survive a power loss.
func (d *DB) Sync() error {
	d.mu.RLock()
	old, log, failed := d.old, d.log, d.failed
	d.mu.RUnlock()
	if failed != nil {
		return failed
	}
	for _, j := range []*journal{old, log} {
		if j == nil {
			continue
		}
		if err := j.sync(); err != nil {
			return d.fail(err)
		}
	}
	return nil
}

// fail refuses everything from now on; see the package's invariants.
func (d *DB) fail(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed == nil {
		d.failed = fmt.Errorf("local database no longer accepts changes: %w", err)
	}
	return d.failed
}

// Flush merges everything applied so far into bbolt.
func (d *DB) Flush() error {
	d.flushMu.Lock()
	defer d.flushMu.Unlock()
	d.mu.Lock()
	if d.failed != nil || d.log.size == 0 {
		defer d.mu.Unlock()
		return d.failed
	}
	next, err := newJournal(d.dir, d.log.seq+1)
	if err != nil {
		d.mu.Unlock()
		return err
	}
	d.frozen, d.old = d.active, d.log
	d.active, d.log = newOverlay(), next
	d.mu.Unlock()
	crashpoint.At("merge.switched")

	if d.opt.BeforeSync != nil {
		if err := d.opt.BeforeSync(); err != nil {
			return d.fail(err)
		}
	}
	if err := d.old.sync(); err != nil {
		return d.fail(err)
	}
	crashpoint.At("merge.synced")
	if err := d.merge(d.frozen); err != nil {
		return d.fail(err)
	}
	crashpoint.At("merge.done")
	d.mu.Lock()
	old := d.old
	d.frozen, d.old = nil, nil
	d.mu.Unlock()
	return old.remove()
}

// merge writes an overlay into bbolt in one synced transaction.
func (d *DB) merge(o *overlay) error {
	return d.bolt.Update(func(tx *bolt.Tx) error {
		for b, groups := range o.tables {
			bk := tx.Bucket(d.names[b])
			for _, k := range sortedKeys(groups) {
				e, _ := o.get(b, []byte(k))
				var err error
				if e.gone {
					err = bk.Delete([]byte(k))
				} else {
					err = bk.Put([]byte(k), e.value)
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
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

// Close merges what is left and closes the database.
func (d *DB) Close() error {
	close(d.stop)
	<-d.done
	err := d.Flush()
	d.mu.Lock()
	log := d.log
	if d.failed == nil {
		d.failed = errors.New("database is closed")
	}
	d.mu.Unlock()
	if err == nil {
		err = log.remove()
	}
	crashpoint.At("close.journal")
	return errors.Join(err, d.bolt.Close())
}
