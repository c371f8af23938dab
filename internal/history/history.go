// Package history answers what the drive was like at any moment: which versions a
// file had and when, what lay under a name, what a folder held.
//
// All of it is in the log of the repository; here it is kept in a local database in
// which each such question is a few seeks, however many moments there are. The
// database is derived: missing, damaged, of another schema or of another
// repository it is made anew from the log ([DB.CatchUp]). It needs the whole log, not
// a checkpoint, so it is filled at its first use and kept up to date from then on
// ([DB.Add]).
//
// # Moments
//
// A moment is the state of the drive as of one commit, of any device: the rows of all
// commits up to it, applied in the order of FORMAT.md §5. Its name here is its
// [Rev]. Another device's commit may become known late, and apply before commits
// that are known; it is put where it belongs, in the middle. So a moment is what the
// log says of it by now: two visits to the same past may differ, where another device
// had changed something then of which this one did not know yet.
//
// # What is kept
//
//	inodes  ino, rev            -> the row, packed; or that it is gone
//	names   dir, name, 0, rev   -> what the name got: an inode, a directory, or nothing
//	given   ino, rev, dir, name    the names that an inode got; not of directories
//	moments rev                 -> what changed
//	forgotten device, first     -> last: the moments of these commits are shown no more
//	heads   device              -> the newest commit taken in
//	gaps    device, first       -> last: lost commits that were passed over
//	lost    device, number      -> the checkpoint behind what a commit says of a lost one
//	meta    schema, repository, whether the whole log was taken in once
//
// Rows are never changed once they are here: a state is read, not kept. What holds
// at a moment is the row with the greatest rev not after it.
//
// A directory is placed by its own row, anything else by name rows; both are in names,
// so that one seek finds the last that was said of a name. If that is a directory it
// is there only if its own row, as of the moment, still places it there; and a name
// that was taken away takes no directory with it.
package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/mapped"
	"github.com/tunesafe/tunesafe/internal/pages"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// schema is that of the database; one of another is made anew.
const schema = 2

var (
	inodesBucket  = []byte("inodes")
	namesBucket   = []byte("names")
	givenBucket   = []byte("given")
	momentsBucket = []byte("moments")
	headsBucket   = []byte("heads")
	metaBucket    = []byte("meta")
)

var (
	schemaKey = []byte("schema")
	repoKey   = []byte("repository")
	wholeKey  = []byte("whole")
)

var (
	// ErrNotExist: at that moment there was nothing of that number or name.
	ErrNotExist = errors.New("was not there then")
	// ErrGap: a commit does not follow what is here; [DB.CatchUp] closes the gap.
	ErrGap = errors.New("the history lacks commits before this one")
	// ErrDamaged: the database cannot be read. Opened anew it is empty.
	ErrDamaged = errors.New("the history database is damaged")
)

// DB is the database. Safe to use at once from many goroutines.
type DB struct {
	db   *mapped.DB
	path string

	late atomic.Uint64

	mu  sync.Mutex // held by who adds
	bad bool       // to be made anew; of mu
}

// Open opens the history of the repository with that id, empty if there is none that
// can be used. A second process waits a second for the first and then fails.
func Open(path, repository string) (*DB, error) {
	d, err := open(path, repository)
	if errors.Is(err, pages.ErrDamaged) || errors.Is(err, errOther) {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("history: %w", err)
		}
		d, err = open(path, repository)
	}
	if err != nil {
		return nil, fmt.Errorf("history %s: %w", path, err)
	}
	return d, nil
}

// errOther: the database is of another schema or repository.
var errOther = errors.New("another history")

func open(path, repository string) (*DB, error) {
	b, err := pages.Open(path, false, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	d := &DB{db: mapped.New(b), path: path}
	if err := d.db.Update(func(tx *bolt.Tx) error { return prepare(tx, repository) }); err != nil {
		return nil, errors.Join(err, d.db.Close())
	}
	return d, nil
}

// prepare makes the buckets of a new database, or looks whether it is ours.
func prepare(tx *bolt.Tx, repository string) error {
	version := binary.BigEndian.AppendUint64(nil, schema)
	if meta := tx.Bucket(metaBucket); meta != nil {
		if string(meta.Get(schemaKey)) != string(version) || string(meta.Get(repoKey)) != repository {
			return errOther
		}
		return nil
	}
	for _, name := range [][]byte{inodesBucket, namesBucket, givenBucket, momentsBucket, forgottenBucket, headsBucket, metaBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	return errors.Join(meta.Put(schemaKey, version), meta.Put(repoKey, []byte(repository)))
}

// Close ends the use of the database. One that proved to be damaged is removed.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.db.Close()
	if d.bad {
		err = errors.Join(err, os.Remove(d.path))
	}
	return err
}

// damaged notes that the database has to be made anew.
func (d *DB) damaged(err error) error {
	d.mu.Lock()
	d.bad = true
	d.mu.Unlock()
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// Heads gives the newest commit taken in of each device.
func (d *DB) Heads() (heads map[string]repo.Head, err error) {
	heads = map[string]repo.Head{}
	err = d.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(headsBucket).ForEach(func(device, v []byte) error {
			heads[string(device)] = decodeHead(v)
			return nil
		})
	})
	return heads, err
}

// Whole reports whether the whole log was taken in at least once, so that what is
// here tells the past up to the heads.
func (d *DB) Whole() (whole bool, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		whole = len(tx.Bucket(metaBucket).Get(wholeKey)) > 0
		return nil
	})
	return whole, err
}

func encodeHead(h repo.Head) []byte {
	return append(binary.BigEndian.AppendUint64(nil, h.Seq), h.SHA...)
}

func decodeHead(v []byte) repo.Head {
	if len(v) < 8 {
		return repo.Head{}
	}
	return repo.Head{Seq: binary.BigEndian.Uint64(v), SHA: string(v[8:])}
}
