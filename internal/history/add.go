package history

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/room"
	"github.com/tunesafe/tunesafe/internal/store"
)

// Moment is a commit that changed something, and how much. Of a commit that became
// known late the counts are of what it changed where it belongs.
type Moment struct {
	Rev     Rev
	Added   int // inodes of which there was no row before
	Changed int // inodes that had one
	Removed int // inodes that are gone
	Named   int // names given
	Unnamed int // names taken away
}

// Add takes in commits, those of one device in the order of their numbers, in one
// transaction that is on the disk when it returns. A commit that is here already
// changes nothing. [ErrGap]: one is missing before one of these that is not known as lost
// ([repo.Commit].Behind); nothing of any of them is taken in then. [repo.ErrFork]: another commit of that number is here.
func (d *DB) Add(commits ...*repo.Commit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bad {
		return ErrDamaged
	}
	late := false
	err := d.update(func(tx *bolt.Tx) error {
		for _, c := range commits {
			newest, _ := tx.Bucket(momentsBucket).Cursor().Last()
			rev := RevOf(c)
			late = late || bytes.Compare(rev[:], newest) < 0
			if err := add(tx, c); err != nil {
				return fmt.Errorf("history: %s: %w", c.Name, err)
			}
		}
		return nil
	})
	if late {
		d.late.Add(1)
	}
	return err
}

// Late is another number each time that commits were taken in which apply before some
// that were here: what was read before of moments behind them may not hold.
func (d *DB) Late() uint64 { return d.late.Load() }

// update changes the database. Where the disk failed to take a change, it is unknown
// what is on it: the database is made anew. d.mu is held.
func (d *DB) update(fn func(*bolt.Tx) error) error {
	var refused error
	err := d.db.Update(func(tx *bolt.Tx) error {
		refused = fn(tx)
		return refused
	})
	if err != nil && refused == nil && !room.IsFull(err) {
		d.bad = true
	}
	return err
}

func add(tx *bolt.Tx, c *repo.Commit) error {
	heads := tx.Bucket(headsBucket)
	head := decodeHead(heads.Get([]byte(c.Device)))
	switch {
	case c.Seq < head.Seq:
		return nil
	case c.Seq == head.Seq && c.Head() != head:
		return repo.ErrFork
	case c.Seq == head.Seq:
		return nil
	case c.Behind != nil && *c.Behind == head:
		if err := gapBefore(tx, c); err != nil {
			return err
		}
	case c.Seq != head.Seq+1 || c.Prev != head.SHA:
		return ErrGap
	}
	a := adder{tx: tx, m: Moment{Rev: RevOf(c)}, directories: map[string]bool{}}
	if err := errors.Join(a.inodes(c.Inodes), a.names(c.Names)); err != nil {
		return err
	}
	if err := a.finish(len(c.Inodes)+len(c.Names) > 0); err != nil {
		return err
	}
	if err := errors.Join(forget(tx, c.Forgotten), sayAgain(tx, c)); err != nil {
		return err
	}
	return heads.Put([]byte(c.Device), encodeHead(c.Head()))
}

// adder takes one commit into a transaction.
type adder struct {
	tx          *bolt.Tx
	m           Moment
	rows        map[string][]pair // by bucket
	directories map[string]bool   // name keys that a directory of this commit got
}

type pair struct{ key, value []byte }

func (a *adder) put(bucket, key, value []byte) {
	if a.rows == nil {
		a.rows = map[string][]pair{}
	}
	a.rows[string(bucket)] = append(a.rows[string(bucket)], pair{key, value})
}

func (a *adder) inodes(rows []repo.InodeRow) error {
	c := a.tx.Bucket(inodesBucket).Cursor()
	for i := range rows {
		r := &rows[i]
		a.put(inodesBucket, inodeKey(r.Inode, a.m.Rev), repo.PackInode(r))
		if r.Type == "dir" && r.In != 0 && !r.Gone {
			key := nameKey(r.In, r.Name, a.m.Rev)
			a.directories[string(key)] = true
			a.put(namesBucket, key, holder{ino: r.Inode, dir: true}.encode())
		}
		_, before := lastRow(c, r.Inode, a.m.Rev)
		switch {
		case r.Gone:
			a.m.Removed++
		case repo.PackedType(before) == "":
			a.m.Added++
		default:
			a.m.Changed++
		}
	}
	return nil
}

// names adds name rows. What a directory of the same commit got stays with it: its
// row may come with one that takes the name from a file.
func (a *adder) names(rows []repo.NameRow) error {
	for _, n := range rows {
		if n.Inode == 0 {
			a.m.Unnamed++
		} else {
			a.m.Named++
			a.put(givenBucket, givenKey(n.Inode, a.m.Rev, n.In, n.Name), nil)
		}
		if key := nameKey(n.In, n.Name, a.m.Rev); !a.directories[string(key)] {
			a.put(namesBucket, key, holder{ino: n.Inode}.encode())
		}
	}
	return nil
}

// finish stores the rows in their order: bbolt splits no page before the transaction
// ends, and moves all that is behind a row in its page.
func (a *adder) finish(changed bool) error {
	for bucket, rows := range a.rows {
		slices.SortStableFunc(rows, func(p, q pair) int { return bytes.Compare(p.key, q.key) })
		b := a.tx.Bucket([]byte(bucket))
		for _, r := range rows {
			if err := b.Put(r.key, r.value); err != nil {
				return err
			}
		}
	}
	if !changed || isForgotten(a.tx, a.m.Rev) {
		return nil
	}
	return a.tx.Bucket(momentsBucket).Put(a.m.Rev[:], a.m.encode())
}

func (m *Moment) encode() (b []byte) {
	for _, n := range []int{m.Added, m.Changed, m.Removed, m.Named, m.Unnamed} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func decodeMoment(key, v []byte) (m Moment) {
	copy(m.Rev[:], key)
	for _, n := range []*int{&m.Added, &m.Changed, &m.Removed, &m.Named, &m.Unnamed} {
		u, k := binary.Uvarint(v)
		*n, v = int(u), v[max(k, 0):]
	}
	return m
}

// Commits are taken in so many rows at once, or after so long.
const (
	batchRows = 20000
	batchTime = 5 * time.Second
)

// CatchUp takes in the commits of the log that are not here, of the devices in certs;
// where nothing is here that is the whole log. What was taken in when it ends early
// stays. progress, if given, is called now and then with the commits taken in so far.
// The errors are those of [repo.ReadLog].
func (d *DB) CatchUp(ctx context.Context, st store.Store, k *repo.Keys, certs map[string]repo.Certificate, progress func(commits int)) error {
	heads, err := d.Heads()
	if err != nil {
		return err
	}
	var batch []*repo.Commit
	rows, done := 0, 0
	begun := time.Now()
	flush := func() error {
		if err := d.Add(batch...); err != nil {
			return err
		}
		done += len(batch)
		batch, rows, begun = nil, 0, time.Now()
		if progress != nil {
			progress(done)
		}
		return nil
	}
	err = repo.ReadLog(ctx, st, k, certs, heads, func(c *repo.Commit) error {
		slim := *c
		slim.Puts, slim.Condemned, slim.Rows, slim.Heads = nil, nil, nil, nil // a batch of them is held
		batch = append(batch, &slim)
		if rows += len(c.Inodes) + len(c.Names) + 10; rows < batchRows && time.Since(begun) < batchTime {
			return nil
		}
		return flush()
	})
	if err = errors.Join(err, flush()); err != nil {
		return err
	}
	return d.setWhole()
}

func (d *DB) setWhole() error {
	if whole, err := d.Whole(); whole || err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Put(wholeKey, []byte{1}) })
}
