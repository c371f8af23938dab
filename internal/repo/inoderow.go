package repo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// How a local database keeps inode rows: by the index's codec, a third of their
// size as JSON. Local data only; nothing of it is in the bucket.

// inodeTypes are the types of inode by number; 0 is a row that says gone.
// Numbers are never given anew.
var inodeTypes = []string{"", "file", "dir", "symlink", "fifo", "socket", "char", "block"}

// What a packed row has beside what all have.
const (
	rowTakenOpen = 1 << iota
	rowMore
	rowXattrs
	rowBase
	rowSucceeds
	rowFed
	rowRdev
)

// ErrPackedRow: what [UnpackInode] was given is not what [PackInode] made.
var ErrPackedRow = errors.New("damaged row")

// PackInode packs a row without its number.
func PackInode(r *InodeRow) []byte {
	if r.Gone {
		return []byte{0}
	}
	b := make([]byte, 0, 64+20*len(r.Parts)+4*len(r.Runs))
	b = append(b, byte(max(0, slices.Index(inodeTypes, r.Type))), r.flags())
	for _, v := range []uint32{r.Mode, r.UID, r.GID} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	b = binary.AppendVarint(b, r.Mtime.Unix())
	b = binary.AppendUvarint(b, uint64(r.Mtime.Nanosecond()))
	switch r.Type {
	case "file":
		b = packFile(b, r)
	case "dir":
		b = packText(binary.AppendUvarint(b, r.In), r.Name)
	case "symlink":
		b = packText(b, r.Target)
	}
	return packRare(b, r)
}

func (r *InodeRow) flags() (f byte) {
	for bit, has := range map[byte]bool{
		rowTakenOpen: r.TakenOpen, rowMore: r.More != nil, rowXattrs: len(r.Xattrs) > 0, rowBase: r.Base != "",
		rowSucceeds: r.Succeeds != 0, rowFed: r.Fed != "", rowRdev: r.Rdev != 0,
	} {
		if has {
			f |= bit
		}
	}
	return f
}

// packRare appends what few rows have, in the order of the flags.
func packRare(b []byte, r *InodeRow) []byte {
	if len(r.Xattrs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(r.Xattrs)))
		for _, name := range slices.Sorted(maps.Keys(r.Xattrs)) {
			b = packText(packText(b, name), string(r.Xattrs[name]))
		}
	}
	if r.Base != "" {
		b = packText(b, r.Base)
	}
	if r.Succeeds != 0 {
		b = binary.AppendUvarint(b, r.Succeeds)
	}
	if r.Fed != "" {
		b = packText(b, r.Fed)
	}
	if r.Rdev != 0 {
		b = binary.AppendUvarint(b, uint64(r.Rdev))
	}
	return b
}

func packText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func packFile(b []byte, r *InodeRow) []byte {
	b = binary.AppendUvarint(b, uint64(r.Size))
	b = binary.AppendUvarint(b, uint64(len(r.Parts)))
	for _, p := range r.Parts {
		kind := max(0, slices.Index(kinds, p.Kind))
		if b = append(b, byte(kind)); kind == 0 {
			b = packText(b, p.Kind)
		}
		b = binary.AppendUvarint(b, uint64(p.Size))
		b = binary.AppendUvarint(b, uint64(len(p.Blobs)))
		for _, s := range p.Blobs {
			b = append(b, s.ID[:]...)
			b = binary.AppendUvarint(b, uint64(s.Size))
			b = binary.AppendUvarint(b, uint64(s.Off))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.Runs)))
	for _, run := range r.Runs {
		b = binary.AppendUvarint(b, uint64(run.Part))
		b = binary.AppendUvarint(b, uint64(run.Length))
	}
	if r.More != nil {
		b = append(b, r.More.ID[:]...)
		b = binary.AppendUvarint(b, uint64(r.More.Size))
	}
	return b
}

// PackedType tells the type of a packed row without unpacking it; empty if it
// says gone.
func PackedType(b []byte) string {
	if len(b) == 0 || int(b[0]) >= len(inodeTypes) {
		return ""
	}
	return inodeTypes[b[0]]
}

// UnpackInode is the inverse of [PackInode].
func UnpackInode(inode uint64, b []byte) (InodeRow, error) {
	r := InodeRow{Inode: inode}
	d := &decoder{b: b}
	r.Type = PackedType(d.bytes(1))
	if r.Gone = r.Type == "" && len(b) == 1 && b[0] == 0; r.Gone {
		return r, nil
	}
	flags := d.bytes(1)[0]
	r.Mode, r.UID, r.GID = uint32(d.uint()), uint32(d.uint()), uint32(d.uint())
	r.Mtime = time.Unix(d.signed(), int64(d.uint()))
	switch r.Type {
	case "file":
		d.file(&r, flags&rowMore != 0)
	case "dir":
		r.In, r.Name = d.uint(), d.text()
	case "symlink":
		r.Target = d.text()
	case "":
		d.bad = true
	}
	r.TakenOpen = flags&rowTakenOpen != 0
	d.rare(&r, flags)
	if d.bad || len(d.b) > 0 {
		return InodeRow{}, fmt.Errorf("inode %016x: %w", inode, ErrPackedRow)
	}
	return r, nil
}

func (d *decoder) rare(r *InodeRow, flags byte) {
	if flags&rowXattrs != 0 {
		r.Xattrs = map[string][]byte{}
		for n := d.uint(); n > 0 && !d.bad; n-- {
			name := d.text()
			r.Xattrs[name] = []byte(d.text())
		}
	}
	if flags&rowBase != 0 {
		r.Base = d.text()
	}
	if flags&rowSucceeds != 0 {
		r.Succeeds = d.uint()
	}
	if flags&rowFed != 0 {
		r.Fed = d.text()
	}
	if flags&rowRdev != 0 {
		r.Rdev = uint32(d.uint())
	}
}

func (d *decoder) file(r *InodeRow, more bool) {
	r.Size = int64(d.uint())
	for n := d.uint(); n > 0 && !d.bad; n-- {
		r.Parts = append(r.Parts, d.part())
	}
	if n := d.uint(); n > 0 && n <= uint64(len(d.b)) {
		r.Runs = make([]Run, n)
		for i := range r.Runs {
			r.Runs[i] = Run{Part: int(d.uint()), Length: int64(d.uint())}
		}
	} else if n > 0 {
		d.bad = true
	}
	if more {
		id := ID(d.bytes(len(ID{})))
		r.More = &BlobRef{id, int64(d.uint())}
	}
}

func (d *decoder) part() (p Part) {
	if kind := int(d.bytes(1)[0]); kind > 0 && kind < len(kinds) {
		p.Kind = kinds[kind]
	} else {
		p.Kind = d.text()
	}
	p.Size = int64(d.uint())
	for n := d.uint(); n > 0 && !d.bad; n-- {
		id := ID(d.bytes(len(ID{})))
		p.Blobs = append(p.Blobs, Slice{ID: id, Size: int64(d.uint()), Off: int64(d.uint())})
	}
	return p
}

// uint reads a number of up to 64 bits.
func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) signed() int64 {
	v, n := binary.Varint(d.b)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	return string(d.bytes(int(n)))
}
