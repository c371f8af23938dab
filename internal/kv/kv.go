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
//     records is on disk. That transaction notes the journal's number: one that
//     comes back after a power loss, because its removal was not on disk, is not
//     replayed over newer rows. Replaying one twice otherwise changes nothing:
//     records are final values.
//   - A record that is torn or fails its checksum ends the replay of its
//     journal, and a journal is replayed only if the one before it was to its
//     end: its first record says where that is. Only what was not synced can be
//     torn.
//   - After a failed sync nothing more is accepted: what the kernel dropped is
//     unknown, and a later sync that succeeds would be a lie.
//
// # A full disk
//
// Room is kept for the journal, the one after it, and the growth of bbolt's file
// ([Options.Reserve]), by allocating it in the files that will use it: a file
// given back in an emergency would be another program's the next moment. A
// merge that finds no room all the same is tried in pieces, each of which gives
// room back to the next, and then again at the next tick. That is no retry of a
// sync: bbolt undoes a transaction whose pages it could not write before it
// syncs any. Meanwhile the journal grows, and [DB.Apply] fails once it cannot.
package kv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/mapped"
	"github.com/tunesafe/tunesafe/internal/pages"
	"github.com/tunesafe/tunesafe/internal/room"
)

// Bucket numbers one of the buckets named at [Open].
type Bucket uint8

// Options adjust a DB; the zero value is right for a drive.
type Options struct {
	FlushBytes int64         // journal size that starts a merge; default 2 MiB, less on a small disk
	FlushEvery time.Duration // longest wait for a merge; default 5 s
	MustExist  bool          // a database that is not there, or empty, is ErrDamaged
	// Before is asked before a journal is taken in, with a function that reads rows
	// of bbolt alone, nil if they are not there; its error ends Open.
	Before  func(row func(Bucket, []byte) []byte) error
	Reserve int64 // bytes of disk kept for journals and bbolt; default by the size of the disk, at most 64 MiB
	// Applied, if any, is told of each change of a batch once it counts, in the order of
	// the batches. It may keep neither key nor value, and neither wait nor ask the DB.
	Applied func(b Bucket, key, value []byte, gone bool)
}

// DB is the store. All methods are safe for concurrent use.
type DB struct {
	dir   string
	names [][]byte
	opt   Options
	bolt  *mapped.DB

	mu     sync.RWMutex // guards what follows
	active *overlay
	frozen *overlay // being merged into bbolt; nil if none
	log    *journal
	before link       // the journal before log
	old    []*journal // of the frozen overlay, oldest first
	failed error
	full   error // why the last merge found no room; nil if it did
	denied error // why the last change was refused; nil if it was not

	file     *os.File // bbolt's
	reserved int64    // bytes of it that are allocated

	flushMu sync.Mutex // one merge at a time
	merged  uint64     // number of the newest journal that bbolt holds; of who holds flushMu
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

var (
	// ErrLocked: another process has the database open.
	ErrLocked = errors.New("database in use by another process")
	// ErrDamaged: the database cannot be opened. It was not changed.
	ErrDamaged = pages.ErrDamaged
	// errSync marks a sync that failed outside of bbolt.
	errSync = errors.New("sync failed")
)

var (
	metaBucket = []byte("kv")
	mergedKey  = []byte("merged") // number of the newest journal that bbolt holds, 8 bytes
)

// Open opens or makes the database in dir and takes in what the journals hold.
// The order of names is part of the format: append, never reorder.
func Open(dir string, names []string, o Options) (*DB, error) {
	if o.Reserve == 0 {
		o.Reserve = room.Reserve(dir)
	}
	if o.FlushBytes == 0 {
		o.FlushBytes = journalRoom(o.Reserve) / 4
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = 5 * time.Second
	}
	d := &DB{dir: dir, opt: o, active: newOverlay(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	b, err := pages.Open(filepath.Join(dir, "namespace.db"), o.MustExist, &bolt.Options{
		Timeout: time.Second, FreelistType: bolt.FreelistMapType, OpenFile: d.openFile, InitialMmapSize: mapped.Ahead,
	})
	if errors.Is(err, bolt.ErrTimeout) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", filepath.Join(dir, "namespace.db"), err)
	}
	d.bolt = mapped.New(b)
	for _, n := range names {
		d.names = append(d.names, []byte(n))
	}
	d.names = append(d.names, metaBucket)
	if err := d.recover(); err != nil {
		b.Close()
		return nil, err
	}
	go d.flusher()
	return d, nil
}

// recover makes the buckets, replays the journals left behind into bbolt, and
// starts a new one. What bbolt finds no room for stays in its journals.
func (d *DB) recover() error {
	if err := d.ask(); err != nil {
		return err
	}
	if err := d.makeBuckets(); err != nil {
		return err
	}
	d.reserve()
	seqs, err := journals(d.dir)
	if err != nil {
		return err
	}
	if d.merged, err = d.mergedSeq(); err != nil {
		return err
	}
	d.before.seq = d.merged
	next := d.merged + 1
	for _, s := range seqs {
		if s > d.merged {
			if err := d.replay(s); err != nil {
				return err
			}
			next = s + 1
		}
		j, err := openJournal(d.dir, s)
		if err != nil {
			return err
		}
		if d.before.seq == s {
			j.damaged = goesOn(journalPath(d.dir, s), d.before.size)
		}
		d.old = append(d.old, j)
	}
	if len(seqs) > 0 {
		d.frozen, d.active = d.active, newOverlay()
		if err := d.mergeFrozen(); err != nil && !room.IsFull(err) {
			return err
		}
		crashpoint.At("replay.merged")
	}
	if d.log, err = newJournal(d.dir, next, journalRoom(d.opt.Reserve)); err != nil {
		return err
	}
	crashpoint.At("replay.journal")
	makeSpare(d.dir, journalRoom(d.opt.Reserve))
	return nil
}

// replay takes in the records of a journal unless it follows one that was not
// replayed to its end.
func (d *DB) replay(seq uint64) error {
	follows, whole, err := replay(journalPath(d.dir, seq), d.active.apply, func(l link) bool {
		return l.seq <= d.merged || l == d.before
	})
	if follows {
		d.before = link{seq, whole}
	}
	return err
}

// ask calls Options.Before.
func (d *DB) ask() error {
	if d.opt.Before == nil {
		return nil
	}
	return d.bolt.View(func(tx *bolt.Tx) error {
		return d.opt.Before(func(b Bucket, key []byte) []byte {
			if bk := tx.Bucket(d.names[b]); bk != nil {
				return bk.Get(key)
			}
			return nil
		})
	})
}

// mergedSeq is the number of the newest journal that bbolt holds, 0 for none.
func (d *DB) mergedSeq() (seq uint64, err error) {
	err = d.bolt.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket(metaBucket).Get(mergedKey); len(v) == 8 {
			seq = binary.BigEndian.Uint64(v)
		}
		return nil
	})
	return seq, err
}

// makeBuckets writes only if one is missing.
func (d *DB) makeBuckets() error {
	missing := false
	err := d.bolt.View(func(tx *bolt.Tx) error {
		for _, n := range d.names {
			missing = missing || tx.Bucket(n) == nil
		}
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return d.bolt.Update(func(tx *bolt.Tx) error {
		for _, n := range d.names {
			if _, err := tx.CreateBucketIfNotExists(n); err != nil {
				return err
			}
		}
		return nil
	})
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
		return e, e != nil, nil
	}
	v, err := d.bolt.Get(d.names[b], key)
	return v, v != nil, err
}

// Apply appends the batch to the journal and makes it visible. When it returns
// nil the batch survives the death of the program.
func (d *DB) Apply(b *Batch) error {
	if len(b.ops) == 0 {
		return nil
	}
	rec := encode(b.ops)
	if len(rec) > maxRecord { // replay would take it for damage
		return fmt.Errorf("%d bytes are too many for one change", len(rec))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	if d.log.size.Load() == 0 {
		rec = encode(append([]op{d.before.op()}, b.ops...))
	}
	d.denied = d.log.append(rec)
	if d.denied != nil {
		return d.denied
	}
	crashpoint.At("journal.appended")
	d.active.apply(b.ops)
	if d.opt.Applied != nil {
		for _, o := range b.ops {
			d.opt.Applied(o.bucket, o.key, o.value, o.gone)
		}
	}
	if d.log.size.Load() > d.opt.FlushBytes {
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
	js, failed := append(slices.Clone(d.old), d.log), d.failed
	d.mu.RUnlock()
	if failed != nil {
		return failed
	}
	for _, j := range js {
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

// Full tells why rows could not be merged last, which is that the disk is full or
// read-only; nil if they were.
func (d *DB) Full() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.full
}

// Denied tells why changes are refused, nil if the last one was not. If it is
// final all will be, until the database is opened again.
func (d *DB) Denied() (final bool, err error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.failed != nil {
		return true, d.failed
	}
	return false, d.denied
}

// Close merges what is left and closes the database. What there is no room to
// merge stays, synced, in the journals for the next Open.
func (d *DB) Close() error {
	close(d.stop)
	<-d.done
	err := d.Flush()
	if room.IsFull(err) {
		err = d.Sync()
	}
	d.mu.Lock()
	log, old := d.log, d.old
	if d.failed == nil {
		d.failed = errors.New("database is closed")
	}
	d.mu.Unlock()
	if err == nil && len(old) == 0 && log.size.Load() == 0 {
		err = log.retire(journalRoom(d.opt.Reserve))
	}
	for _, j := range append(old, log) {
		j.f.Close()
	}
	crashpoint.At("close.journal")
	return errors.Join(err, d.bolt.Close())
}
