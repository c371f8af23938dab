package history

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"

	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// forgottenBucket holds of which commits the moments are shown no more: device, first
// number -> last number.
var forgottenBucket = []byte("forgotten")

// forget takes moments away, those that become known later too. The rows of their
// commits stay: later moments have them.
func forget(tx *bolt.Tx, by map[string][]repo.Span) error {
	if len(by) == 0 {
		return nil
	}
	b := tx.Bucket(forgottenBucket)
	for device, spans := range by {
		id, _ := hex.DecodeString(device) // its form was checked with the row
		for _, s := range spans {
			key := binary.BigEndian.AppendUint64(bytes.Clone(id), s.First)
			if old := b.Get(key); old != nil && binary.BigEndian.Uint64(old) >= s.Last {
				continue
			}
			if err := b.Put(key, binary.BigEndian.AppendUint64(nil, s.Last)); err != nil {
				return err
			}
		}
	}
	var gone [][]byte
	c := tx.Bucket(momentsBucket).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if isForgotten(tx, Rev(k)) {
			gone = append(gone, bytes.Clone(k))
		}
	}
	for _, k := range gone {
		if err := tx.Bucket(momentsBucket).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// isForgotten tells it of the moment of a commit. Spans of a device do not overlap: what
// is forgotten is not forgotten again.
func isForgotten(tx *bolt.Tx, r Rev) bool {
	k, v := atOrBefore(tx.Bucket(forgottenBucket).Cursor(), r[8:])
	return bytes.HasPrefix(k, r[8:16]) && r.Seq() <= binary.BigEndian.Uint64(v)
}
