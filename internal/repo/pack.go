package repo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ObjectRow describes an object in the bucket and places its blobs: in Frames
// for a pack, in Raw for an audio object. FORMAT.md §5.
type ObjectRow struct {
	Name   string
	Size   int64    // in the bucket
	Head   [32]byte // SHA-256 of the first 184 bytes
	Kind   string   // of all its blobs, or Mixed
	Frames []Frame
	Raw    []BlobRef
}

// Frame is one zstd frame of a pack: its length in the pack's plaintext and the
// blobs in it, back to back.
type Frame struct {
	Packed int64
	Blobs  []BlobRef
	Kind   string // of its blobs, in a pack that is Mixed
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

// KindOf is the kind of the blobs in a frame of the pack.
func (o *ObjectRow) KindOf(f Frame) string {
	if o.Kind == Mixed {
		return f.Kind
	}
	return o.Kind
}

// BlobKinds gives the kind of each blob.
func (o *ObjectRow) BlobKinds() map[ID]string {
	kinds := map[ID]string{}
	for _, b := range o.Raw {
		kinds[b.ID] = o.Kind
	}
	for _, f := range o.Frames {
		for _, b := range f.Blobs {
			kinds[b.ID] = o.KindOf(f)
		}
	}
	return kinds
}

// Kinds names the kind of the object for people: "tags", "tags+probe".
func (o *ObjectRow) Kinds() string {
	if o.Kind != Mixed {
		return o.Kind
	}
	var all []string
	for _, f := range o.Frames {
		if !slices.Contains(all, f.Kind) {
			all = append(all, f.Kind)
		}
	}
	return strings.Join(all, "+")
}

// kindText is the field "kind" of FORMAT.md §5: of a mixed pack a word for each frame.
func (o *ObjectRow) kindText() string {
	if o.Kind != Mixed {
		return o.Kind
	}
	words := make([]string, len(o.Frames))
	for i, f := range o.Frames {
		words[i] = f.Kind
	}
	return strings.Join(words, " ")
}

// readKinds takes apart what kindText made. Kinds are needed to read nothing, so words
// that do not fit the frames are no fault: such frames are of no known kind.
func (o *ObjectRow) readKinds() {
	if o.Frames == nil || o.Kind != Mixed && !strings.Contains(o.Kind, " ") {
		return
	}
	words := strings.Split(o.Kind, " ")
	o.Kind = Mixed
	for i := range o.Frames {
		o.Frames[i].Kind = unknownKind
		if len(words) == len(o.Frames) {
			o.Frames[i].Kind = words[i]
		}
	}
}

// Blob is a blob with its bytes.
type Blob struct {
	ID   ID
	Data []byte
}

// PackBuilder gathers blobs of one kind into a pack, which may then join others. It is
// used by one goroutine.
type PackBuilder struct {
	k      *Keys
	kind   string
	have   map[ID]bool
	frames []Frame
	packed packed // finished frames
	err    error  // of sealing them
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
	return len(b.have) == 0 || b.packed.size+int64(len(b.open))+n+64*int64(len(b.have)) <= MaxBlob-frameLimit
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
	n := b.packed.add(len(b.open), func(dst []byte) []byte {
		if len(b.open) == 0 { // an empty blob alone: zstd gives no frame for it
			return append(dst, emptyFrame...)
		}
		return packFrame(b.kind, b.open, dst)
	})
	if b.err == nil {
		b.err = b.packed.seal(b.k)
	}
	b.frames = append(b.frames, Frame{n, b.blobs, b.kind})
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
	row.settleKind()
	index := append(appendObjectFields([]byte{'{'}, &row), '}')
	b.packed.add(len(index), func(dst []byte) []byte { return better().EncodeAll(index, dst) })
	s, err := b.packed.finish(b.k)
	b.open = nil
	if err = cmp.Or(b.err, err); err != nil {
		return nil, row, fmt.Errorf("pack of %s: %w", b.kind, err)
	}
	row.describe(s)
	return s, row, nil
}

// settleKind says of the object, rather than of its frames, what they all are.
func (o *ObjectRow) settleKind() {
	if slices.ContainsFunc(o.Frames, func(f Frame) bool { return f.Kind != o.Frames[0].Kind }) {
		o.Kind = Mixed
		return
	}
	o.Kind = o.Frames[0].Kind
	for i := range o.Frames {
		o.Frames[i].Kind = ""
	}
}

// joinOrder is that of the kinds in a mixed pack, any others behind: what a scan reads
// lies together.
var joinOrder = []string{Tags, IndexPart, Seals, Probe, Art, Data}

func joinRank(kind string) int {
	if i := slices.Index(joinOrder, kind); i >= 0 {
		return i
	}
	return len(joinOrder)
}

// JoinPacks gives the packs of several kinds that are to leave together, in the order in
// which they go. Those that are small, the smallest first, leave as one object of limit
// bytes at most, packed: each keeps its frames. The packs given must be used no more.
func JoinPacks(packs map[string]*PackBuilder, limit int64) (leave []*PackBuilder) {
	kinds := slices.Sorted(maps.Keys(packs))
	slices.SortStableFunc(kinds, func(a, b string) int { return cmp.Compare(joinRank(a), joinRank(b)) })
	for _, kind := range kinds {
		packs[kind].flush()
		leave = append(leave, packs[kind])
	}
	smallest := slices.Clone(leave)
	slices.SortStableFunc(smallest, func(a, b *PackBuilder) int { return cmp.Compare(a.packed.size, b.packed.size) })
	joins := map[*PackBuilder]bool{}
	for _, b := range smallest {
		if limit -= b.packed.size; limit < 0 || b.packed.sealer != nil {
			break
		}
		joins[b] = true
	}
	var joined *PackBuilder
	return slices.DeleteFunc(leave, func(b *PackBuilder) bool {
		switch {
		case !joins[b]:
			return false
		case joined == nil:
			joined = b
			return false
		}
		joined.join(b)
		return true
	})
}

// join takes over the frames of another pack. A blob that both have stays twice.
func (b *PackBuilder) join(o *PackBuilder) {
	b.packed.join(&o.packed)
	b.frames = append(b.frames, o.frames...)
	b.size += o.size
	maps.Copy(b.have, o.have)
}

// SealAudio makes an audio object of blobs, as AudioBuilder does.
func SealAudio(k *Keys, blobs ...Blob) (*Sealed, ObjectRow, error) {
	var n int64
	for _, b := range blobs {
		n += int64(len(b.Data))
	}
	if n > MaxBlob {
		return nil, ObjectRow{}, fmt.Errorf("audio object of %d bytes: %w", n, ErrTooLarge)
	}
	a := NewAudio(k, n)
	for _, b := range blobs {
		if err := a.Add(b.ID, b.Data); err != nil {
			return nil, a.row, err
		}
	}
	return a.Finish()
}

// AudioBuilder gathers sound into an audio object, which is padded to 16 KiB. It
// seals what it is given at once and holds no plaintext. It is used by one
// goroutine.
type AudioBuilder struct {
	k      *Keys
	expect int64
	sealer *sealer // nil before the first blob
	row    ObjectRow
	size   int64
}

// NewAudio begins an object of about expect bytes of sound.
func NewAudio(k *Keys, expect int64) *AudioBuilder {
	return &AudioBuilder{k: k, expect: paddedSize(min(expect, MaxBlob)), row: ObjectRow{Kind: Audio}}
}

// paddedSize is the length of the plaintext of an audio object with n bytes of sound.
func paddedSize(n int64) int64 { return (n + padTo - 1) / padTo * padTo }

// Has tells whether the blob is in the object already.
func (a *AudioBuilder) Has(id ID) bool {
	return slices.ContainsFunc(a.row.Raw, func(b BlobRef) bool { return b.ID == id })
}

// Len is the length of the blobs so far, in bytes.
func (a *AudioBuilder) Len() int64 { return a.size }

// Add takes in blob p, which is not kept. The blobs are at most MaxBlob bytes together.
func (a *AudioBuilder) Add(id ID, p []byte) (err error) {
	if a.size+int64(len(p)) > MaxBlob {
		return fmt.Errorf("audio object of %d bytes: %w", a.size+int64(len(p)), ErrTooLarge)
	}
	if a.sealer == nil {
		if a.sealer, err = a.k.newSealer(a.expect); err != nil {
			return err
		}
	}
	a.row.Raw = append(a.row.Raw, BlobRef{id, int64(len(p))})
	a.size += int64(len(p))
	a.sealer.write(p)
	return nil
}

// Finish ends the object. The builder is done.
func (a *AudioBuilder) Finish() (*Sealed, ObjectRow, error) {
	if a.size == 0 {
		return nil, a.row, fmt.Errorf("audio object of no bytes: %w", ErrTooLarge)
	}
	if pad := paddedSize(a.size) - a.size; pad > 0 {
		a.sealer.write(make([]byte, pad))
	}
	s := a.sealer.finish()
	s.Name = objectName("audio", s.sum)
	a.row.describe(s)
	return s, a.row, nil
}

// describe fills in what is known of an object once it is sealed.
func (o *ObjectRow) describe(s *Sealed) {
	o.Name, o.Size, o.Head = s.Name, int64(len(s.Body)), s.Head
}
