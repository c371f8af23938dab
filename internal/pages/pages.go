// Package pages reads the file of a bbolt database (go.etcd.io/bbolt, file
// format version 2) without trusting it. bbolt panics on damaged pages, in part
// in goroutines of its own, and dies where a file is shorter than it says: a
// database is looked at with this package before bbolt opens it. What can still
// be read of a damaged one is salvaged here, too.
package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// ErrDamaged: the file is no database that bbolt could open.
var ErrDamaged = errors.New("damaged")

// The layout of bbolt's pages, from its internal/common: a head of 16 bytes (id,
// flags, count, overflow), then elements of 16 bytes, then keys and values.
const (
	headSize    = 16
	elementSize = 16
	metaSize    = 64
	magic       = 0xED0CDAED
	version     = 2

	branchFlag = 0x01
	leafFlag   = 0x02
	metaFlag   = 0x04
	bucketLeaf = 0x01
	maxDepth   = 64
)

var le = binary.LittleEndian

// Verify reads every page that is in use and tells the first thing wrong with
// one as ErrDamaged. A file that is not there, or whose size is 0, is
// [fs.ErrNotExist]: bbolt makes a new database of it. The caller sees to it that
// nobody writes meanwhile.
func Verify(path string) error {
	return withFile(path, func(d *db) error { return d.verify() })
}

// Salvage calls fn with every pair of every leaf page of a file that bears no
// sign of damage itself, in use or not, so what it yields may be outdated, and
// of any bucket. fn may keep neither.
func Salvage(path string, fn func(key, value []byte)) error {
	return withFile(path, func(d *db) error {
		for at := 0; at+d.size <= len(d.data); at += d.size {
			p, err := d.pageAt(uint64(at / d.size))
			if err != nil || p.flags&leafFlag == 0 {
				continue
			}
			_ = p.leaf(func(flags uint32, key, value []byte) error {
				if flags&bucketLeaf == 0 {
					fn(key, value)
				}
				return nil
			})
		}
		return nil
	})
}

// withFile maps the file into memory. A fault of the map, as an unreadable disk
// causes, is an error.
func withFile(path string, fn func(*db) error) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() == 0 {
		return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return &fs.PathError{Op: "mmap", Path: path, Err: err}
	}
	defer unix.Munmap(data)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = panicked(path, p)
		}
	}()
	if err := fn(&db{data: data, size: os.Getpagesize()}); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// panicked tells what a panic while the file was read means. A fault of the map is
// a disk that cannot be read, which says nothing of the database.
func panicked(path string, p any) error {
	if fault, ok := p.(interface {
		runtime.Error
		Addr() uintptr
	}); ok {
		return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("%w (%w)", unix.EIO, fault)}
	}
	return fmt.Errorf("%s: %w: %v", path, ErrDamaged, p)
}

type db struct {
	data []byte
	size int    // of a page
	high uint64 // pages from here on are not in use
	seen []bool // by page
	read int    // pages
}

// givenBack is after how many pages the mapped ones are given back: each that was
// read counts as the process's memory, with those beside it that the kernel maps at
// once, 64 KiB together, and a database may be larger than what it has.
const givenBack = 128

func damaged(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, a...))
}

// verify walks the tree from the newer valid meta page.
func (d *db) verify() error {
	var root, newest uint64
	found := false
	for i := range 2 {
		at := i * d.size
		if at+headSize+metaSize > len(d.data) {
			break
		}
		m := d.data[at+headSize : at+headSize+metaSize]
		sum := fnv.New64a()
		sum.Write(m[:56])
		if le.Uint32(m) != magic || le.Uint32(m[4:]) != version || le.Uint64(m[56:]) != sum.Sum64() {
			continue
		}
		if size := int(le.Uint32(m[8:])); size != d.size {
			return damaged("pages of %d bytes", size)
		}
		if id := le.Uint64(m[48:]); !found || id > newest {
			found, newest, root, d.high = true, id, le.Uint64(m[16:]), le.Uint64(m[40:])
		}
	}
	if !found {
		return damaged("no valid head")
	}
	if d.high > uint64(len(d.data)/d.size) {
		return damaged("%d bytes long, %d are in use", len(d.data), d.high*uint64(d.size))
	}
	d.seen = make([]bool, d.high)
	return d.walk(root, 0, nil, nil)
}

// page is one page with its overflow.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte
}

func (d *db) pageAt(id uint64) (page, error) {
	if d.read++; d.read%givenBack == 0 {
		_ = unix.Madvise(d.data, unix.MADV_DONTNEED) // they stay in the kernel's cache
	}
	at := id * uint64(d.size)
	if at+headSize > uint64(len(d.data)) {
		return page{}, damaged("page %d is beyond the end", id)
	}
	h := d.data[at:]
	p := page{id: id, flags: le.Uint16(h[8:]), count: int(le.Uint16(h[10:]))}
	end := at + (uint64(le.Uint32(h[12:]))+1)*uint64(d.size)
	if le.Uint64(h) != id {
		return p, damaged("page %d says it is %d", id, le.Uint64(h))
	}
	if end > uint64(len(d.data)) {
		return p, damaged("page %d goes on beyond the end", id)
	}
	p.data = d.data[at:end]
	return p, nil
}

// walk reads a page and those below it, whose keys begin at floor and end before
// ceiling, if that is not nil.
func (d *db) walk(id uint64, depth int, floor, ceiling []byte) error {
	if id < 2 || id >= d.high || depth > maxDepth {
		return damaged("a page numbered %d", id)
	}
	p, err := d.pageAt(id)
	if err != nil {
		return err
	}
	for i := range uint64(len(p.data) / d.size) {
		if id+i >= d.high || d.seen[id+i] {
			return damaged("page %d is used twice, or not in use", id+i)
		}
		d.seen[id+i] = true
	}
	inside := func(key []byte) error {
		if bytes.Compare(key, floor) < 0 || ceiling != nil && bytes.Compare(key, ceiling) >= 0 {
			return damaged("page %d: a key out of order", id)
		}
		return nil
	}
	switch p.flags {
	case branchFlag:
		return p.branch(func(key, next []byte, child uint64) error {
			if next == nil {
				next = ceiling
			}
			if err := inside(key); err != nil {
				return err
			}
			return d.walk(child, depth+1, key, next)
		})
	case leafFlag:
		return p.leaf(func(flags uint32, key, value []byte) error {
			if err := inside(key); err != nil || flags&bucketLeaf == 0 {
				return err
			}
			return d.bucket(p, value, depth)
		})
	}
	return damaged("page %d is of kind %#x", id, p.flags)
}

// bucket walks a bucket: the number of its root, and its sequence; 0 is one
// that lies in the page itself, behind them.
func (d *db) bucket(p page, value []byte, depth int) error {
	if len(value) < 16 {
		return damaged("page %d: a bucket of %d bytes", p.id, len(value))
	}
	if root := le.Uint64(value); root != 0 {
		return d.walk(root, depth+1, nil, nil)
	}
	in := value[16:]
	if len(in) < headSize || le.Uint16(in[8:]) != leafFlag {
		return damaged("page %d: a bucket inside it", p.id)
	}
	inner := page{id: p.id, flags: leafFlag, count: int(le.Uint16(in[10:])), data: in}
	return inner.leaf(func(uint32, []byte, []byte) error { return nil })
}

// part gives n bytes that lie off behind an element, all inside the page.
func (p page) part(element, off, n uint64) ([]byte, error) {
	from := element + off
	if from < headSize || from+n > uint64(len(p.data)) {
		return nil, damaged("page %d: an element beyond its end", p.id)
	}
	return p.data[from : from+n], nil
}

func (p page) elements() error {
	if headSize+p.count*elementSize > len(p.data) {
		return damaged("page %d has %d elements", p.id, p.count)
	}
	return nil
}

// branch gives each key, the one after it, nil behind the last, and the page of
// the keys in between.
func (p page) branch(fn func(key, next []byte, child uint64) error) error {
	if err := p.elements(); err != nil {
		return err
	}
	if p.count == 0 {
		return damaged("page %d leads nowhere", p.id)
	}
	keys := make([][]byte, p.count+1)
	for i := range p.count {
		at := headSize + i*elementSize
		var err error
		if keys[i], err = p.part(uint64(at), uint64(le.Uint32(p.data[at:])), uint64(le.Uint32(p.data[at+4:]))); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 {
			return damaged("page %d: a key out of order", p.id)
		}
	}
	for i := range p.count {
		if err := fn(keys[i], keys[i+1], le.Uint64(p.data[headSize+i*elementSize+8:])); err != nil {
			return err
		}
	}
	return nil
}

func (p page) leaf(fn func(flags uint32, key, value []byte) error) error {
	if err := p.elements(); err != nil {
		return err
	}
	var last []byte
	for i := range p.count {
		at := headSize + i*elementSize
		e := p.data[at:]
		off, n := uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:]))
		key, err := p.part(uint64(at), off, n)
		if err != nil {
			return err
		}
		value, err := p.part(uint64(at), off+n, uint64(le.Uint32(e[12:])))
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 {
			return damaged("page %d: a key out of order", p.id)
		}
		last = key
		if err := fn(le.Uint32(e), key, value); err != nil {
			return err
		}
	}
	return nil
}
