package repo

import (
	"fmt"
	"slices"
)

// ObjectRow describes an object in the bucket and places its blobs: in Frames
// for a pack, in Raw for an audio object. FORMAT.md §5.
type ObjectRow struct {
	Name   string
	Size   int64    // in the bucket
	Head   [32]byte // SHA-256 of the first 184 bytes
	Kind   string   // of all its blobs
	Frames []Frame
	Raw    []BlobRef
}

// Frame is one zstd frame of a pack: its length in the pack's plaintext and the
// blobs in it, back to back.
type Frame struct {
	Packed int64
	Blobs  []BlobRef
}

// Size is the length of the frame, unpacked.
func (f Frame) Size() (n int64) {
	for _, b := range f.Blobs {
		n += b.Size
	}
	return n
}

// Blobs lists the blobs of the object, in order.
func (o *ObjectRow) Blobs() []BlobRef {
	all := slices.Clone(o.Raw)
	for _, f := range o.Frames {
		all = append(all, f.Blobs...)
	}
	return all
}

// Blob is a blob with its bytes.
type Blob struct {
	ID   ID
	Data []byte
}

// PackBuilder gathers blobs of one kind into a pack. It is used by one
// goroutine.
type PackBuilder struct {
	k      *Keys
	kind   string
	have   map[ID]bool
	frames []Frame
	packed []byte // finished frames
	open   []byte // plaintext of the frame being filled
	blobs  []BlobRef
	size   int64 // plaintext of all blobs
}

// NewPack begins a pack of one of the kinds of rows.go but Audio.
func NewPack(k *Keys, kind string) *PackBuilder {
	return &PackBuilder{k: k, kind: kind, have: map[ID]bool{}}
}

// Has tells whether the blob is in the pack already.
func (b *PackBuilder) Has(id ID) bool { return b.have[id] }

// Len is the plaintext of the blobs so far, in bytes.
func (b *PackBuilder) Len() int64 { return b.size }

// Fits tells whether a blob of n bytes may still be added, whatever it packs to.
func (b *PackBuilder) Fits(n int64) bool {
	return len(b.have) == 0 || int64(len(b.packed)+len(b.open))+n+64*int64(len(b.have)) <= MaxBlob-frameLimit
}

// Add takes in blob p, unless the pack has it; p is not kept. The caller asks
// Fits before.
func (b *PackBuilder) Add(id ID, p []byte) {
	if b.have[id] {
		return
	}
	b.have[id] = true
	if b.kind == Art || len(b.open)+len(p) > frameLimit {
		b.flush()
	}
	b.blobs = append(b.blobs, BlobRef{id, int64(len(p))})
	b.size += int64(len(p))
	b.open = append(b.open, p...)
}

// flush packs the frame being filled.
func (b *PackBuilder) flush() {
	if len(b.blobs) == 0 {
		return
	}
	before := len(b.packed)
	b.packed = encoderFor(b.kind).EncodeAll(b.open, b.packed)
	if len(b.packed) == before { // an empty blob alone: zstd gives no frame for it
		b.packed = append(b.packed, emptyFrame...)
	}
	b.frames = append(b.frames, Frame{int64(len(b.packed) - before), b.blobs})
	b.open, b.blobs = b.open[:0], nil
}

// emptyFrame is a zstd frame of no bytes: magic, single segment of size 0, one
// last raw block of size 0 (RFC 8878 §3.1.1).
var emptyFrame = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00}

// Finish seals the pack, its index as the last frame. The builder is done.
func (b *PackBuilder) Finish() (*Sealed, ObjectRow, error) {
	b.flush()
	row := ObjectRow{Kind: b.kind, Frames: b.frames}
	if len(b.frames) == 0 {
		return nil, row, fmt.Errorf("pack of %s: no blob", b.kind)
	}
	index := append(appendObjectFields([]byte{'{'}, &row), '}')
	b.packed = better().EncodeAll(index, b.packed)
	s, err := b.k.Seal("meta", b.packed)
	if err != nil {
		return nil, row, fmt.Errorf("pack of %s: %w", b.kind, err)
	}
	row.describe(s)
	return s, row, nil
}

// SealAudio makes an audio object of blobs, padded to 16 KiB. Their bytes are
// at most MaxBlob together.
func SealAudio(k *Keys, blobs ...Blob) (*Sealed, ObjectRow, error) {
	row := ObjectRow{Kind: Audio}
	var n int64
	var pieces [][]byte
	for _, b := range blobs {
		row.Raw = append(row.Raw, BlobRef{b.ID, int64(len(b.Data))})
		pieces = append(pieces, b.Data)
		n += int64(len(b.Data))
	}
	if n == 0 || n > MaxBlob {
		return nil, row, fmt.Errorf("audio object of %d bytes: %w", n, ErrTooLarge)
	}
	if pad := (padTo - n%padTo) % padTo; pad > 0 {
		pieces = append(pieces, make([]byte, pad))
	}
	s, err := k.sealInto("audio", pieces...)
	if err != nil {
		return nil, row, err
	}
	row.describe(s)
	return s, row, nil
}

// describe fills in what is known of an object once it is sealed.
func (o *ObjectRow) describe(s *Sealed) {
	o.Name, o.Size, o.Head = s.Name, int64(len(s.Body)), s.Head
}
