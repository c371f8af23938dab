package kv

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// entry is the newest value of a key that bbolt does not hold yet; nil says that the key
// is gone.
type entry []byte

// overlay holds entries by bucket.
type overlay struct{ tables map[Bucket]*table }

// table holds entries of a bucket by the key's first 8 bytes, so that a scan below such a
// prefix (the names of one directory) meets only its own. Most keys are just that long, an
// inode's number: a group for each would be most of what an overlay takes.
type table struct {
	numbers map[number]entry            // of keys of that length
	groups  map[string]map[string]entry // of all others
}

const groupLen = 8 // bytes of a key that choose its group

type number = [groupLen]byte

func newOverlay() *overlay { return &overlay{tables: map[Bucket]*table{}} }

func group(key []byte) []byte { return key[:min(groupLen, len(key))] }

func (o *overlay) get(b Bucket, key []byte) (e entry, ok bool) {
	t := o.tables[b]
	switch {
	case t == nil:
		return nil, false
	case len(key) == groupLen:
		e, ok = t.numbers[number(key)]
	default:
		e, ok = t.groups[string(group(key))][string(key)]
	}
	return e, ok
}

func (o *overlay) apply(ops []op) {
	for _, p := range ops {
		t := o.tables[p.bucket]
		if t == nil {
			t = &table{numbers: map[number]entry{}, groups: map[string]map[string]entry{}}
			o.tables[p.bucket] = t
		}
		t.put(p)
	}
}

func (t *table) put(p op) {
	e := entry(p.value)
	if p.gone {
		e = nil
	}
	if len(p.key) == groupLen {
		t.numbers[number(p.key)] = e
		return
	}
	g := t.groups[string(group(p.key))]
	if g == nil {
		g = map[string]entry{}
		t.groups[string(group(p.key))] = g
	}
	g[string(p.key)] = e
}

// below copies the entries whose key starts with prefix, and lies behind after, into m.
func (o *overlay) below(b Bucket, prefix, after string, m map[string]entry) {
	t := o.tables[b]
	if t == nil {
		return
	}
	take := func(g map[string]entry) {
		for k, e := range g {
			if k > after && strings.HasPrefix(k, prefix) {
				m[k] = e
			}
		}
	}
	if len(prefix) >= groupLen {
		if e, ok := t.numbers[number([]byte(prefix[:groupLen]))]; ok && len(prefix) == groupLen && prefix > after {
			m[prefix] = e
		}
		take(t.groups[prefix[:groupLen]])
		return
	}
	for k, e := range t.numbers {
		if string(k[:]) > after && strings.HasPrefix(string(k[:]), prefix) {
			m[string(k[:])] = e
		}
	}
	for _, g := range t.groups {
		take(g)
	}
}

// len counts the entries, and those of them whose key is a number.
func (o *overlay) len() (n, numbers int) {
	for _, t := range o.tables {
		numbers += len(t.numbers)
		for _, g := range t.groups {
			n += len(g)
		}
	}
	return n + numbers, numbers
}

// rows lists all entries, sorted by bucket and key.
func (o *overlay) rows() []op {
	n, numbers := o.len()
	rows, keys := make([]op, 0, n+1), make([]byte, 0, numbers*groupLen) // in one piece: they are most of what a merge takes
	for _, b := range slices.Sorted(maps.Keys(o.tables)) {
		from, t := len(rows), o.tables[b]
		for k, e := range t.numbers {
			keys = append(keys, k[:]...)
			rows = append(rows, op{bucket: b, key: keys[len(keys)-groupLen : len(keys) : len(keys)], value: e, gone: e == nil})
		}
		for _, g := range t.groups {
			for k, e := range g {
				rows = append(rows, op{bucket: b, key: []byte(k), value: e, gone: e == nil})
			}
		}
		slices.SortFunc(rows[from:], func(x, y op) int { return bytes.Compare(x.key, y.key) })
	}
	return rows
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
		d.frozen.below(b, string(prefix), string(after), over)
	}
	d.active.below(b, string(prefix), string(after), over)
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
		if e := m.over[name]; e != nil {
			return []byte(name), e
		}
	}
}
