package repo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// How the index keeps object rows and placements: the same in its database and
// in its journal of acknowledgements. Local data only; nothing of it is in the
// bucket.

// kinds are the kinds of object by number. Numbers are never given anew.
var kinds = []string{unknownKind, Tags, Art, IndexPart, Seals, Probe, Audio, Data, Checkpoint, Mixed}

// unknownKind stands for kinds that a newer program may write: they are needed to read
// nothing.
const unknownKind = "unknown"

func kindNumber(kind string) byte { return byte(max(0, slices.Index(kinds, kind))) }

func kindNumbered(n byte) string {
	if int(n) >= len(kinds) {
		return unknownKind
	}
	return kinds[n]
}

var errIndex = errors.New("damaged entry; remove the index to have it rebuilt from the log")

// encodeObject: kind, 'a' or 'm', SHA-256, head, then varints and ids; of a mixed pack
// each frame begins with its kind.
func encodeObject(o *ObjectRow) []byte {
	b := append([]byte{kindNumber(o.Kind)}, nameKey(o.Name)...)
	b = append(b, o.Head[:]...)
	b = binary.AppendUvarint(b, uint64(o.Size))
	if o.Raw != nil {
		return appendRefs(b, o.Raw)
	}
	b = binary.AppendUvarint(b, uint64(len(o.Frames)))
	for _, f := range o.Frames {
		if o.Kind == Mixed {
			b = append(b, kindNumber(f.Kind))
		}
		b = binary.AppendUvarint(b, uint64(f.Packed))
		b = appendRefs(b, f.Blobs)
	}
	return b
}

func appendRefs(b []byte, refs []BlobRef) []byte {
	b = binary.AppendUvarint(b, uint64(len(refs)))
	for _, r := range refs {
		b = append(b, r.ID[:]...)
		b = binary.AppendUvarint(b, uint64(r.Size))
	}
	return b
}

// decoder takes apart what encodeObject made; a fault sticks.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) bytes(n int) []byte {
	if d.bad || len(d.b) < n {
		d.bad = true
		return make([]byte, n)
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) int() int64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 || v > 1<<62 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return int64(v)
}

func (d *decoder) refs() []BlobRef {
	n := d.int()
	if n > int64(len(d.b)) {
		d.bad = true
		return nil
	}
	refs := make([]BlobRef, 0, n)
	for range n {
		id := ID(d.bytes(16))
		refs = append(refs, BlobRef{id, d.int()})
	}
	return refs
}

// head decodes what comes before the blobs.
func (d *decoder) head() (o ObjectRow) {
	start := d.bytes(34)
	prefix := "meta"
	if start[1] == 'a' {
		prefix = "audio"
	}
	o.Kind = kindNumbered(start[0])
	o.Name = objectName(prefix, [32]byte(start[2:]))
	o.Head = [32]byte(d.bytes(32))
	o.Size = d.int()
	return o
}

// decodeObjectHead decodes a row without its blobs.
func decodeObjectHead(b []byte) (ObjectRow, error) {
	d := &decoder{b: b}
	o := d.head()
	if d.bad {
		return ObjectRow{}, fmt.Errorf("object: %w", errIndex)
	}
	return o, nil
}

// decodeObject is the inverse of encodeObject.
func decodeObject(b []byte) (ObjectRow, error) {
	d := &decoder{b: b}
	o := d.head()
	if strings.HasPrefix(o.Name, "audio/") {
		o.Raw = d.refs()
	} else {
		for n := d.int(); n > 0 && !d.bad; n-- {
			var f Frame
			if o.Kind == Mixed {
				f.Kind = kindNumbered(d.bytes(1)[0])
			}
			f.Packed, f.Blobs = d.int(), d.refs()
			o.Frames = append(o.Frames, f)
		}
	}
	if d.bad || len(d.b) > 0 {
		return ObjectRow{}, fmt.Errorf("object: %w", errIndex)
	}
	return o, nil
}

// eachPlacement calls fn with the place of each blob of o.
func eachPlacement(o *ObjectRow, fn func(ID, Placement) error) error {
	p := Placement{Object: o.Name, ObjectSize: o.Size, Head: o.Head, Kind: o.Kind}
	place := func(refs []BlobRef) error {
		p.Off = 0
		for _, r := range refs {
			p.Size = r.Size
			if err := fn(r.ID, p); err != nil {
				return err
			}
			p.Off += r.Size
		}
		return nil
	}
	if o.Raw != nil {
		return place(o.Raw)
	}
	for _, f := range o.Frames {
		p.FrameLen = f.Packed
		if err := place(f.Blobs); err != nil {
			return err
		}
		p.FrameOff += f.Packed
	}
	return nil
}

// encode keeps what the object's row does not say.
func (p *Placement) encode() []byte {
	b := make([]byte, 0, 16)
	for _, v := range []int64{p.FrameOff, p.FrameLen, p.Off, p.Size} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

func (p *Placement) decode(b []byte) error {
	d := &decoder{b: b}
	p.FrameOff, p.FrameLen, p.Off, p.Size = d.int(), d.int(), d.int(), d.int()
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("placement in %s: %w", p.Object, errIndex)
	}
	return nil
}
