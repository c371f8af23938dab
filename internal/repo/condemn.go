package repo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// condemnedBucket holds what is condemned and was not deleted: name, device → the
// device's word.
//
// A condemned object is still read from: another device may have used a blob of it
// before it heard. It is used for nothing new: [Index.Lookup] does not find it. A
// device takes its word back by a put of the object in a later commit; a put of
// another, who may not have heard, says nothing. So it makes no difference in which
// order the chains are read.
var condemnedBucket = []byte("condemned")

func encodeCondemned(r *CondemnRow) []byte {
	b := binary.AppendUvarint(nil, uint64(r.Size))
	b = binary.AppendUvarint(b, r.Seq)
	return append(b, r.Why...)
}

func decodeCondemned(key, b []byte) (r CondemnRow, err error) {
	d := &decoder{b: b}
	r.Size, r.Seq = d.int(), uint64(d.int())
	if d.bad || len(key) < nameKeySize {
		return r, fmt.Errorf("condemned object: %w", errIndex)
	}
	r.Device, r.Why = string(key[nameKeySize:]), string(d.b)
	prefix := "meta"
	if key[0] == 'a' {
		prefix = "audio"
	}
	r.Name = objectName(prefix, [32]byte(key[1:nameKeySize]))
	return r, nil
}

// condemnedKey is the key of a device's word about an object.
func condemnedKey(name, device string) []byte { return append(nameKey(name), device...) }

// Condemned lists what is condemned and not deleted yet, by name and device.
func (x *Index) Condemned() (rows []CondemnRow, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(condemnedBucket).ForEach(func(k, v []byte) error {
			r, err := decodeCondemned(k, v)
			rows = append(rows, r)
			return err
		})
	})
	return rows, err
}

// InUse tells whether commits place an object and none condemns it.
func (x *Index) InUse(name string) (is bool, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		key := nameKey(name)
		is = tx.Bucket(namesBucket).Get(key) != nil && !isCondemned(tx.Bucket(condemnedBucket).Cursor(), key)
		return nil
	})
	return is, err
}

// OnlyCondemned tells whether a blob lies in objects that are condemned, and in no other:
// it can be read yet, and must be uploaded to be used.
func (x *Index) OnlyCondemned(id ID) (bool, error) {
	_, ok, err := x.lookup(id, false)
	if err != nil || ok {
		return false, err
	}
	_, ok, err = x.lookup(id, true)
	return ok, err
}

// isCondemned tells whether a device condemns the object with that key.
func isCondemned(condemned *bolt.Cursor, key []byte) bool {
	k, _ := condemned.Seek(key)
	return bytes.HasPrefix(k, key)
}

// condemn takes an object out of use. by and seq are the commit's.
func (a *applier) condemn(row CondemnRow, by string, seq uint64) error {
	if row.Device == "" {
		row.Device, row.Seq = by, seq
	}
	key := nameKey(row.Name)
	if !isCondemned(a.condemned.Cursor(), key) {
		if err := a.countNamed(key, -1); err != nil {
			return err
		}
	}
	return a.condemned.Put(condemnedKey(row.Name, row.Device), encodeCondemned(&row))
}

// takeBack lets a device put an object into use again that it condemned.
func (a *applier) takeBack(name, by string, seq uint64) error {
	key := condemnedKey(name, by)
	v := a.condemned.Get(key)
	if v == nil || by == "" {
		return nil
	}
	row, err := decodeCondemned(key, v)
	if err != nil || row.Seq >= seq {
		return err
	}
	if err := a.condemned.Delete(key); err != nil || isCondemned(a.condemned.Cursor(), nameKey(name)) {
		return err
	}
	return a.countNamed(nameKey(name), 1)
}

// deleted forgets an object.
func (a *applier) deleted(name string) error {
	if err := a.remove(name); err != nil {
		return err
	}
	key := nameKey(name)
	for {
		k, _ := a.condemned.Cursor().Seek(key)
		if !bytes.HasPrefix(k, key) {
			return nil
		}
		if err := a.condemned.Delete(slices.Clone(k)); err != nil {
			return err
		}
	}
}

// countNamed counts an object, if it is known.
func (a *applier) countNamed(key []byte, sign int64) error {
	number := a.names.Get(key)
	if number == nil {
		return nil
	}
	row, err := decodeObject(a.objects.Get(number))
	if err == nil {
		a.count(&row, sign)
	}
	return err
}
