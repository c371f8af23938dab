package kv

import (
	"bytes"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// entry is the newest value of a key that bbolt does not hold yet.
type entry struct {
	value []byte
	gone  bool
}

// overlay holds entries by bucket and by the key's first 8 bytes, so that a
// scan below such a prefix (the names of one directory) meets only its own.
type overlay struct {
	tables map[Bucket]map[string]map[string]entry
}

const groupLen = 8 // bytes of a key that choose its group

func newOverlay() *overlay {
	return &overlay{tables: map[Bucket]map[string]map[string]entry{}}
}

func group(key []byte) []byte { return key[:min(groupLen, len(key))] }

func (o *overlay) get(b Bucket, key []byte) (entry, bool) {
	e, ok := o.tables[b][string(group(key))][string(key)]
	return e, ok
}

func (o *overlay) apply(ops []op) {
	for _, p := range ops {
		t := o.tables[p.bucket]
		if t == nil {
			t = map[string]map[string]entry{}
			o.tables[p.bucket] = t
		}
		g := t[string(group(p.key))]
		if g == nil {
			g = map[string]entry{}
			t[string(group(p.key))] = g
		}
		g[string(p.key)] = entry{value: p.value, gone: p.gone}
	}
}

// below copies the entries whose key starts with prefix into m.
func (o *overlay) below(b Bucket, prefix []byte, m map[string]entry) {
	take := func(g map[string]entry) {
		for k, e := range g {
			if len(k) >= len(prefix) && k[:len(prefix)] == string(prefix) {
				m[k] = e
			}
		}
	}
	if len(prefix) >= groupLen {
		take(o.tables[b][string(prefix[:groupLen])])
		return
	}
	for _, g := range o.tables[b] {
		take(g)
	}
}

// rows lists all entries, sorted by bucket and key.
func (o *overlay) rows() (rows []op) {
	for _, b := range slices.Sorted(maps.Keys(o.tables)) {
		for _, k := range sortedKeys(o.tables[b]) {
			e, _ := o.get(b, []byte(k))
			rows = append(rows, op{bucket: b, key: []byte(k), value: e.value, gone: e.gone})
		}
	}
	return rows
}

func sortedKeys(groups map[string]map[string]entry) []string {
	var keys []string
	for _, g := range groups {
		keys = slices.AppendSeq(keys, maps.Keys(g))
	}
	slices.Sort(keys)
	return keys
}

// Scan calls fn for the rows whose key starts with prefix, in bytewise order of
// key, beginning behind after (nil: from the first), until fn returns false.
// Each row is as it was at some moment during the call. fn may keep neither key
// nor value.
func (d *DB) Scan(b Bucket, prefix, after []byte, fn func(key, value []byte) bool) error {
	// The overlays are read before bbolt: what a merge moves in between is then
	// seen in both, never in neither.
	over := map[string]entry{}
	d.mu.RLock()
	if d.frozen != nil {
		d.frozen.below(b, prefix, over)
	}
	d.active.below(b, prefix, over)
	d.mu.RUnlock()
	keys := slices.Sorted(maps.Keys(over))
	return d.bolt.View(func(tx *bolt.Tx) error {
		m := merged{c: tx.Bucket(d.names[b]).Cursor(), prefix: prefix, over: over, keys: keys}
		m.seek(after)
		for key, value := m.next(); key != nil; key, value = m.next() {
			d.bolt.Visited(tx, 1)
			if !fn(key, value) {
				break
			}
		}
		return nil
	})
}

// merged walks bbolt's rows and the overlay's keys side by side.
type merged struct {
	c      *bolt.Cursor
	k, v   []byte // bbolt's next row; k is nil at the end
	prefix []byte
	over   map[string]entry
	keys   []string // the overlay's keys not yet passed, sorted
}

// seek moves to the first row behind after.
func (m *merged) seek(after []byte) {
	from := m.prefix
	if bytes.Compare(after, from) >= 0 && after != nil {
		from = append(bytes.Clone(after), 0) // the key that follows directly
	}
	m.k, m.v = m.c.Seek(from)
	i, _ := slices.BinarySearch(m.keys, string(from))
	m.keys = m.keys[i:]
}

// next returns the next row that is not gone, or a nil key.
func (m *merged) next() (key, value []byte) {
	for {
		inBolt := bytes.HasPrefix(m.k, m.prefix) && m.k != nil
		if len(m.keys) == 0 || inBolt && string(m.k) < m.keys[0] {
			if !inBolt {
				return nil, nil
			}
			key, value = m.k, m.v
			m.k, m.v = m.c.Next()
			return key, value
		}
		name := m.keys[0]
		m.keys = m.keys[1:]
		if inBolt && string(m.k) == name {
			m.k, m.v = m.c.Next()
		}
		if e := m.over[name]; !e.gone {
			return []byte(name), e.value
		}
	}
}
