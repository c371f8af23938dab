package repo

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/mapped"
	"github.com/tunesafe/tunesafe/internal/pages"
	"github.com/tunesafe/tunesafe/internal/room"
)

// Index knows where every blob lies: what the commits taken in so far place,
// and the objects that the store acknowledged since. It is derived data: the
// log rebuilds it, only the acknowledged objects and age headers are worth
// keeping. Safe to use at once from many goroutines.
//
// The database holds objects under small numbers, each with its whole row, and
// for each blob and object that has it one short entry, about 40 bytes.
type Index struct {
	db       *mapped.DB
	file     *os.File // of db
	reserved int64    // bytes of it that are allocated

	mu      sync.RWMutex
	acks    *acks
	headers map[string][]byte // by object, not yet in db
	failed  error             // why nothing more is taken in
	applied uint64            // calls of Apply
}

// Placement is where a blob lies.
type Placement struct {
	Object     string
	ObjectSize int64    // in the bucket
	Head       [32]byte // SHA-256 of the object's first 184 bytes
	Kind       string
	FrameOff   int64 // in the object's plaintext
	FrameLen   int64 // packed; 0 if the object is raw, no pack
	Off        int64 // in the frame, unpacked; in the object's plaintext if raw
	Size       int64
}

// Totals sums up the objects of one kind.
type Totals struct {
	Objects int64
	Stored  int64 // bytes in the bucket
	Blobs   int64
	Plain   int64 // bytes of the blobs
}

// Buckets of the database.
var (
	objectsBucket = []byte("objects") // number → ObjectRow
	namesBucket   = []byte("names")   // name → number
	blobsBucket   = []byte("blobs")   // id, number → place in the object
	headersBucket = []byte("headers") // number → first 184 bytes
	headsBucket   = []byte("heads")   // device → seq, SHA-256
	totalsBucket  = []byte("totals")  // kind → Totals
)

// maxPending bounds the age headers kept in memory until the next Apply.
const maxPending = 1000

// ErrIndexDamaged: the index cannot be opened; it can be made anew.
var ErrIndexDamaged = pages.ErrDamaged

// OpenIndex opens the index at path, making it if it is not there. Beside it
// lies path.acks. A second process waits a second for the first and then fails.
func OpenIndex(path string) (*Index, error) {
	x := &Index{headers: map[string][]byte{}}
	db, err := pages.Open(path, false, &bolt.Options{Timeout: time.Second, FreelistType: bolt.FreelistMapType, OpenFile: x.openFile,
		InitialMmapSize: mapped.Ahead})
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", path, err)
	}
	x.db = mapped.New(db)
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{objectsBucket, namesBucket, blobsBucket, headersBucket, headsBucket, totalsBucket, condemnedBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		x.acks, err = openAcks(path + ".acks")
	}
	if err == nil {
		err = x.dropPlacedAcks()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("index %s: %w", path, err), x.Close())
	}
	x.reserve()
	return x, nil
}

// openFile opens the file of the database, and keeps a hand on it.
func (x *Index) openFile(name string, flag int, mode os.FileMode) (f *os.File, err error) {
	f, err = os.OpenFile(name, flag, mode)
	x.file = f
	return f, err
}

// indexRoom is the part of the reserve that the index has for its growth.
func indexRoom(path string) int64 { return room.Reserve(filepath.Dir(path)) / 4 }

// update changes the database. Once the disk failed to take a change nothing more
// is accepted until the index is opened anew: what the kernel dropped is unknown,
// and a later sync that succeeds would be a lie. A lack of room is met before
// anything is synced, and may be tried again. x.mu is held.
func (x *Index) update(fn func(*bolt.Tx) error) error {
	if x.failed != nil {
		return x.failed
	}
	var refused error
	err := x.db.Update(func(tx *bolt.Tx) error {
		refused = fn(tx)
		return refused
	})
	if err != nil && refused == nil && !room.IsFull(err) {
		x.failed = fmt.Errorf("the disk failed to take a change, and no more are made until the drive is mounted anew: %w", err)
		return x.failed
	}
	return err
}

// reserve allocates disk for what the next commits add.
func (x *Index) reserve() {
	var used int64
	if err := x.db.View(func(tx *bolt.Tx) error { used = tx.Size(); return nil }); err == nil {
		x.reserved = room.Ahead(x.file, used, indexRoom(x.db.Path()), x.reserved)
	}
}

// Close ends the index. It must not be used afterwards.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var err error
	if len(x.headers) > 0 {
		err = x.update(x.flushHeaders)
	}
	if x.acks != nil {
		err = errors.Join(err, x.acks.close())
	}
	return errors.Join(err, x.db.Close())
}

// Lookup tells where the blob lies; false if neither a commit nor an
// acknowledged object has it, or only one that is condemned: it must be uploaded
// to be used.
func (x *Index) Lookup(id ID) (p Placement, ok bool, err error) {
	return x.lookup(id, false)
}

// lookup finds the blob in a condemned object, too, if it is in no other.
func (x *Index) lookup(id ID, condemned bool) (p Placement, ok bool, err error) {
	x.mu.RLock()
	p, ok = x.acks.blobs[id]
	x.mu.RUnlock()
	if ok {
		return p, true, nil
	}
	err = x.db.Ask(func(rows *mapped.Rows) error {
		p, ok, err = lookup(rows, id, "", condemned)
		return err
	})
	return p, ok, err
}

// lookup finds the newest object that has the blob, of the kind if given. One that
// is condemned is found only if asked for, and if there is no other.
func lookup(rows *mapped.Rows, id ID, kind string, condemned bool) (Placement, bool, error) {
	var p Placement
	found, good := false, false
	c := rows.Cursor(blobsBucket)
	for key, value := c.Seek(id[:]); len(key) == 20 && ID(key[:16]) == id; key, value = c.Next() {
		row := rows.Get(objectsBucket, key[16:])
		if row == nil {
			continue // placed ahead
		}
		o, err := decodeObjectHead(row)
		if err != nil {
			return p, false, err
		}
		if kind != "" && o.Kind != kind {
			continue
		}
		doomed := isCondemned(rows.Cursor(condemnedBucket), nameKey(o.Name))
		if doomed && (good || !condemned) {
			continue
		}
		good = !doomed
		p = Placement{Object: o.Name, ObjectSize: o.Size, Head: o.Head, Kind: o.Kind}
		if err := p.decode(value); err != nil {
			return p, false, err
		}
		found = true
	}
	return p, found, nil
}

// Object gives the row of an object.
func (x *Index) Object(name string) (row ObjectRow, ok bool, err error) {
	x.mu.RLock()
	ack, ok := x.acks.rows[name]
	x.mu.RUnlock()
	if ok {
		return ack.row, true, nil
	}
	err = x.db.View(func(tx *bolt.Tx) error {
		number := tx.Bucket(namesBucket).Get(nameKey(name))
		if number == nil {
			return nil
		}
		ok = true
		row, err = decodeObject(tx.Bucket(objectsBucket).Get(number))
		return err
	})
	return row, ok, err
}

// Has tells whether a commit places the object.
func (x *Index) Has(name string) (has bool, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		has = tx.Bucket(namesBucket).Get(nameKey(name)) != nil
		return nil
	})
	return has, err
}

// ObjectOf gives the newest committed object of that kind that has the blob, as
// [BuildCheckpoint] asks for.
func (x *Index) ObjectOf(id ID, kind string) (row ObjectRow, ok bool, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		var p Placement
		if p, ok, err = lookup(mapped.RowsOf(tx), id, kind, false); err != nil || !ok {
			return err
		}
		row, err = decodeObject(tx.Bucket(objectsBucket).Get(tx.Bucket(namesBucket).Get(nameKey(p.Object))))
		return err
	})
	return row, ok, err
}

// Objects yields the objects that commits place, by name, those condemned and not
// deleted too. Changes made meanwhile may be seen or not.
func (x *Index) Objects() iter.Seq2[ObjectRow, error] {
	return func(yield func(ObjectRow, error) bool) {
		var after []byte
		for {
			rows, last, err := x.objectsAfter(after, 500, 20_000)
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if err != nil {
				yield(ObjectRow{}, err)
			}
			if err != nil || last == nil {
				return
			}
			after = last
		}
	}
}

// objectsAfter reads up to n objects behind the name key after, and no more once they
// have so many blobs: a pack of small ones has thousands. last is nil at the end.
func (x *Index) objectsAfter(after []byte, n, blobs int) (rows []ObjectRow, last []byte, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(namesBucket).Cursor()
		key, number := c.Seek(after)
		if after != nil && slices.Equal(key, after) {
			key, number = c.Next()
		}
		for ; key != nil && len(rows) < n && blobs > 0; key, number = c.Next() {
			value := tx.Bucket(objectsBucket).Get(number)
			row, err := decodeObject(value)
			if err != nil {
				return err
			}
			x.db.Visited(tx, 1+int64(len(value)/os.Getpagesize())) // that of a pack lies in many pages
			rows = append(rows, row)
			last = append(last[:0], key...)
			for _, f := range row.Frames {
				blobs -= len(f.Blobs)
			}
		}
		return nil
	})
	return rows, last, err
}

// Heads gives the newest commit taken in of each device.
func (x *Index) Heads() (map[string]Head, error) {
	heads := map[string]Head{}
	err := x.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(headsBucket).ForEach(func(device, v []byte) error {
			heads[string(device)] = decodeHead(v)
			return nil
		})
	})
	return heads, err
}

// Totals sums up the objects that commits place, by kind.
func (x *Index) Totals() (map[string]Totals, error) {
	all := map[string]Totals{}
	err := x.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(totalsBucket).ForEach(func(kind, v []byte) error {
			var t Totals
			err := json.Unmarshal(v, &t)
			all[string(kind)] = t
			return err
		})
	})
	return all, err
}

// SetHeader keeps the first 184 bytes of an object, once they were verified.
// They reach the disk at the next Apply.
func (x *Index) SetHeader(object string, header []byte) error {
	if len(header) != pinnedSize {
		return fmt.Errorf("%s: header of %d bytes", object, len(header))
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.headers[object] = slices.Clone(header)
	if len(x.headers) < maxPending {
		return nil
	}
	return x.update(x.flushHeaders)
}

// flushHeaders writes the headers of objects that the index knows; x.mu is held.
func (x *Index) flushHeaders(tx *bolt.Tx) error {
	for _, object := range slices.Sorted(maps.Keys(x.headers)) {
		if number := tx.Bucket(namesBucket).Get(nameKey(object)); number != nil {
			if err := tx.Bucket(headersBucket).Put(slices.Clone(number), x.headers[object]); err != nil {
				return err
			}
		}
	}
	tx.OnCommit(func() { clear(x.headers) })
	return nil
}

// Header gives the first 184 bytes of an object, nil if they are not here. The
// caller verifies them against the object's Head.
func (x *Index) Header(object string) (header []byte, err error) {
	x.mu.RLock()
	if ack, ok := x.acks.rows[object]; ok {
		header = ack.header
	} else if h, ok := x.headers[object]; ok {
		header = h
	}
	x.mu.RUnlock()
	if header != nil {
		return header, nil
	}
	err = x.db.View(func(tx *bolt.Tx) error {
		if number := tx.Bucket(namesBucket).Get(nameKey(object)); number != nil {
			header = slices.Clone(tx.Bucket(headersBucket).Get(number))
		}
		return nil
	})
	return header, err
}

// nameKeySize is the length of a nameKey.
const nameKeySize = 33

// nameKey is the object's key in the names bucket: sorted as the names are.
func nameKey(name string) []byte {
	sum, err := nameSum(name)
	if err != nil {
		return []byte{0}
	}
	key := []byte{'m'}
	if strings.HasPrefix(name, "audio/") {
		key[0] = 'a'
	}
	return append(key, sum[:]...)
}

func encodeHead(h Head) []byte {
	b := binary.BigEndian.AppendUint64(nil, h.Seq)
	sum, _ := hex.DecodeString(h.SHA)
	return append(b, sum...)
}

func decodeHead(b []byte) Head {
	if len(b) != 40 {
		return Head{}
	}
	return Head{binary.BigEndian.Uint64(b), hex.EncodeToString(b[8:])}
}
