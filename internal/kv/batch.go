package kv

import (
	"encoding/binary"
	"hash/crc32"
)

type op struct {
	bucket Bucket
	key    []byte
	value  []byte
	gone   bool
}

// Batch is a set of changes that are applied together. The zero value is empty.
type Batch struct{ ops []op }

// Put sets key to value. The batch keeps both.
func (b *Batch) Put(k Bucket, key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	b.ops = append(b.ops, op{bucket: k, key: key, value: value})
}

// Delete removes key; an absent one is no error.
func (b *Batch) Delete(k Bucket, key []byte) {
	b.ops = append(b.ops, op{bucket: k, key: key, gone: true})
}

// Len counts the changes.
func (b *Batch) Len() int { return len(b.ops) }

// Get returns the newest value that the batch itself gives to key.
func (b *Batch) Get(k Bucket, key []byte) (value []byte, gone, ok bool) {
	for i := len(b.ops) - 1; i >= 0; i-- {
		if o := b.ops[i]; o.bucket == k && string(o.key) == string(key) {
			return o.value, o.gone, true
		}
	}
	return nil, false, false
}

// encode frames changes as a journal record: per change a byte (bucket, high
// bit set for a deletion), then key and value, each behind its length as uvarint.
func encode(ops []op) []byte {
	n := headLen
	for _, o := range ops {
		n += 1 + 2*binary.MaxVarintLen32 + len(o.key) + len(o.value)
	}
	rec := make([]byte, headLen, n)
	for _, o := range ops {
		tag := byte(o.bucket)
		if o.gone {
			tag |= 0x80
		}
		rec = append(rec, tag)
		rec = append(binary.AppendUvarint(rec, uint64(len(o.key))), o.key...)
		if !o.gone {
			rec = append(binary.AppendUvarint(rec, uint64(len(o.value))), o.value...)
		}
	}
	binary.LittleEndian.PutUint32(rec, uint32(len(rec)-headLen))
	binary.LittleEndian.PutUint32(rec[4:], crc32.Checksum(rec[headLen:], castagnoli))
	return rec
}

// decode is the inverse of encode, without the frame's head.
func decode(p []byte) (ops []op, ok bool) {
	field := func() []byte {
		n, k := binary.Uvarint(p)
		if k <= 0 || n > uint64(len(p)-k) {
			ok = false
			return nil
		}
		f := p[k : k+int(n) : k+int(n)]
		p = p[k+int(n):]
		return f
	}
	for ok = true; ok && len(p) > 0; {
		o := op{bucket: Bucket(p[0] & 0x7f), gone: p[0]&0x80 != 0}
		p = p[1:]
		o.key = field()
		if !o.gone && ok {
			o.value = field()
		}
		ops = append(ops, o)
	}
	return ops, ok
}
