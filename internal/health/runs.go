package health

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Kind is what a run did.
type Kind string

// The kinds of run.
const (
	Check     Kind = "check"     // read objects of the bucket
	Rehearsal Kind = "rehearsal" // restored files from the bucket alone
	Folders   Kind = "folders"   // read files of the folders that are backed up
)

// Run is what came of a run.
type Run struct {
	Kind    Kind      `json:"kind"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Whole   bool      `json:"whole"`             // it did all that it set out to do
	Objects int64     `json:"objects,omitempty"` // read
	Files   int64     `json:"files,omitempty"`   // restored, or read in their folders
	Like    int64     `json:"like,omitempty"`    // of the restored: compared with what this machine has, and the same
	Bytes   int64     `json:"bytes"`
	Bad     int64     `json:"bad,omitempty"`
	Text    string    `json:"text,omitempty"` // what went wrong, for people
}

// keptRuns is how many runs are remembered.
const keptRuns = 4000

// Ran records a run.
func (d *DB) Ran(r Run) error {
	r.Began, r.Ended = r.Began.Truncate(time.Millisecond), r.Ended.Truncate(time.Millisecond)
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return d.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(runsBucket)
		k := binary.BigEndian.AppendUint64(nil, uint64(max(r.Began.UnixMilli(), 0)))
		if err := b.Put(append(k, r.Kind...), text); err != nil {
			return err
		}
		first, _ := b.Cursor().First()
		if b.Stats().KeyN > keptRuns {
			return b.Delete(bytes.Clone(first))
		}
		return nil
	})
}

// Runs gives the runs of a kind, oldest first.
func (d *DB) Runs(kind Kind) (list []Run, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(runsBucket).ForEach(func(k, v []byte) error {
			if string(k[8:]) != string(kind) {
				return nil
			}
			var r Run
			err := json.Unmarshal(v, &r)
			list = append(list, r)
			return err
		})
	})
	return list, err
}

// LastRun gives the newest run of a kind; ok is false if there was none.
func (d *DB) LastRun(kind Kind) (r Run, ok bool, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(runsBucket).Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			if string(k[8:]) == string(kind) {
				ok = true
				return json.Unmarshal(v, &r)
			}
		}
		return nil
	})
	return r, ok, err
}

// wholeRuns gives when the complete checks began, oldest first.
func (d *DB) wholeRuns() (began []time.Time, err error) {
	runs, err := d.Runs(Check)
	for _, r := range runs {
		if r.Whole {
			began = append(began, r.Began)
		}
	}
	return began, err
}

// FileRead tells when a file was last read in its folder; zero if never.
func (d *DB) FileRead(ino uint64) (at time.Time, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket(filesBucket).Get(binary.BigEndian.AppendUint64(nil, ino)); len(v) == 8 {
			at = time.UnixMilli(int64(binary.BigEndian.Uint64(v)))
		}
		return nil
	})
	return at, err
}

// FilesRead notes that files were read in their folder.
func (d *DB) FilesRead(at time.Time, inos ...uint64) error {
	v := binary.BigEndian.AppendUint64(nil, uint64(max(at.UnixMilli(), 0)))
	return d.db.Update(func(tx *bolt.Tx) error {
		for _, ino := range inos {
			if err := tx.Bucket(filesBucket).Put(binary.BigEndian.AppendUint64(nil, ino), v); err != nil {
				return err
			}
		}
		return nil
	})
}
