package history

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// What is known of lost commits: gapsBucket holds those that were passed over, device, first
// number -> last number, time before; lostBucket what is said of them, device, number -> time of the
// checkpoint behind that. They are made when there is something in them.
var (
	gapsBucket = []byte("gaps")
	lostBucket = []byte("lost")
)

// Gap is a stretch of commits of one device that are lost. What they said is said again
// by commits behind them, so that from After on, and until Until, the moments may lack
// what the lost ones said.
type Gap struct {
	Device      string
	First, Last uint64    // numbers of the commits
	After       time.Time // of the commit before them; zero if they are the first
	Until       time.Time // of the checkpoint behind what was said again; zero: nothing was yet
}

// Holds reports whether the moments of that time may lack something by the gap.
func (g Gap) Holds(t time.Time) bool {
	return t.After(g.After) && (g.Until.IsZero() || t.Before(g.Until))
}

// Gaps lists the lost commits that the history passes over.
func (d *DB) Gaps() (all []Gap, err error) {
	err = d.read(func(tx *bolt.Tx) error {
		all = nil
		b := tx.Bucket(gapsBucket)
		if b == nil {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			all = append(all, gapOf(tx.Bucket(lostBucket), k, v))
			return nil
		})
	})
	return all, err
}

// GapsAt lists the gaps by which the moments of that time may lack something.
func (d *DB) GapsAt(t time.Time) (at []Gap, err error) {
	all, err := d.Gaps()
	for _, g := range all {
		if g.Holds(t) {
			at = append(at, g)
		}
	}
	return at, err
}

// gapOf reads a gap. What is said of it ends with the last checkpoint behind any of its
// commits.
func gapOf(lost *bolt.Bucket, k, v []byte) (g Gap) {
	g.Device, g.First = deviceSeq(k)
	g.Last, g.After = binary.BigEndian.Uint64(v), timeFrom(v[8:])
	if lost == nil {
		return g
	}
	c := lost.Cursor()
	for k, v := c.Seek(k); k != nil; k, v = c.Next() {
		device, seq := deviceSeq(k)
		if device != g.Device || seq > g.Last {
			break
		}
		until := timeFrom(v)
		if until.IsZero() {
			g.Until = until
			break
		}
		if until.After(g.Until) {
			g.Until = until
		}
	}
	return g
}

func seqKey(device string, seq uint64) []byte {
	id, _ := hex.DecodeString(device) // its form was checked with the name of the commit
	return binary.BigEndian.AppendUint64(id, seq)
}

func deviceSeq(k []byte) (string, uint64) {
	return hex.EncodeToString(k[:8]), binary.BigEndian.Uint64(k[8:])
}

// appendTime adds a time of which 0 is none.
func appendTime(b []byte, t time.Time) []byte {
	ms := int64(0)
	if !t.IsZero() {
		ms = t.UnixMilli()
	}
	return binary.BigEndian.AppendUint64(b, uint64(ms))
}

func timeFrom(b []byte) (t time.Time) {
	if ms := int64(binary.BigEndian.Uint64(b)); ms != 0 {
		t = time.UnixMilli(ms).UTC()
	}
	return t
}

// gapBefore notes the gap that lies before a commit.
func gapBefore(tx *bolt.Tx, c *repo.Commit) error {
	b, err := tx.CreateBucketIfNotExists(gapsBucket)
	if err != nil {
		return err
	}
	v := binary.BigEndian.AppendUint64(nil, c.Seq-1)
	return b.Put(seqKey(c.Device, c.Behind.Seq+1), appendTime(v, timeOf(tx, c.Device, c.Behind.Seq)))
}

// timeOf is when a commit was made, as far as a moment tells: of the last that made one.
func timeOf(tx *bolt.Tx, device string, seq uint64) (at time.Time) {
	id, _ := hex.DecodeString(device)
	c := tx.Bucket(momentsBucket).Cursor()
	for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
		if r := Rev(k); bytes.Equal(r[8:16], id) && r.Seq() <= seq {
			return r.Time()
		}
	}
	return at
}

// sayAgain notes of which lost commits a commit speaks, and that a checkpoint is behind
// what was said of them: it is made once all is said again.
func sayAgain(tx *bolt.Tx, c *repo.Commit) error {
	b := tx.Bucket(lostBucket)
	if b == nil && len(c.Lost) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(lostBucket)
	if err != nil {
		return err
	}
	for _, name := range c.Lost {
		device, h, err := repo.ParseLost(name)
		if key := seqKey(device, h.Seq); err == nil && b.Get(key) == nil {
			if err := b.Put(key, appendTime(nil, time.Time{})); err != nil {
				return err
			}
		}
	}
	if c.Kind != repo.CheckpointCommit {
		return nil
	}
	var open [][]byte
	err = b.ForEach(func(k, v []byte) error {
		if timeFrom(v).IsZero() {
			open = append(open, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range open {
		err = errors.Join(err, b.Put(k, appendTime(nil, c.Time)))
	}
	return err
}
