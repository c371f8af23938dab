package cache

import (
	"errors"
	"math"

	"github.com/fxamacker/cbor/v2"
)

// Blob is Size bytes of a stored sequence of bytes, its ID, from offset Off on.
// Without an ID it is zeros, which are stored nowhere.
type Blob struct {
	ID        [16]byte
	Size, Off int64
}

// IsZeros reports whether nothing is stored of it.
func (b Blob) IsZeros() bool { return b.ID == [16]byte{} }

// Part is all bytes of one meaning in one file. An owed part has its blobs
// known but not all of them uploaded; one with no blobs at all is owed by
// another device.
type Part struct {
	Kind  string
	Size  int64
	Blobs []Blob
	Owed  bool
}

// Run is the next Length bytes of part Part, an index into Recipe.Parts.
type Run struct {
	Part   int
	Length int64
}

// Recipe says what a file is made of: its bytes are those of its runs in order.
// More names the blob that continues Runs when they are long; it is fetched
// when the file is first read.
type Recipe struct {
	Size  int64
	Parts []Part
	Runs  []Run
	More  *Blob
}

// Owes reports whether a part of the recipe is not in the bucket yet.
func (r *Recipe) Owes() bool {
	for _, p := range r.Parts {
		if p.Owed {
			return true
		}
	}
	return false
}

// A recipe's row is CBOR (RFC 8949), written and read by hand: a large file that
// changes in many places has a hundred thousand blobs. Everything is arrays:
//
//	recipe = [size, [part…] / null, [[part, length]…] / null, blob / null]
//	part   = [kind, size, [blob…] / null, owed]
//	blob   = [id, size] / [id, size, offset]
const (
	cborInt   = 0 << 5
	cborNeg   = 1 << 5
	cborBytes = 2 << 5
	cborText  = 3 << 5
	cborArray = 4 << 5
	cborMap   = 5 << 5
	cborFalse = 0xf4
	cborTrue  = 0xf5
	cborNull  = 0xf6
)

// MarshalCBOR implements [cbor.Marshaler].
func (r Recipe) MarshalCBOR() ([]byte, error) {
	n := 64 + 12*len(r.Runs)
	for _, p := range r.Parts {
		n += 32 + 32*len(p.Blobs)
	}
	b := appendCBORInt(append(make([]byte, 0, n), cborArray|4), r.Size)
	b = appendCBORList(b, len(r.Parts), r.Parts == nil)
	for _, p := range r.Parts {
		b = appendCBORHead(append(b, cborArray|4), cborText, uint64(len(p.Kind)))
		b = appendCBORInt(append(b, p.Kind...), p.Size)
		b = appendCBORList(b, len(p.Blobs), p.Blobs == nil)
		for _, blob := range p.Blobs {
			b = appendCBORBlob(b, blob)
		}
		if p.Owed {
			b = append(b, cborTrue)
		} else {
			b = append(b, cborFalse)
		}
	}
	b = appendCBORList(b, len(r.Runs), r.Runs == nil)
	for _, run := range r.Runs {
		b = appendCBORInt(appendCBORInt(append(b, cborArray|2), int64(run.Part)), run.Length)
	}
	if r.More == nil {
		return append(b, cborNull), nil
	}
	return appendCBORBlob(b, *r.More), nil
}

func appendCBORBlob(b []byte, blob Blob) []byte {
	n := byte(2)
	if blob.Off != 0 {
		n = 3
	}
	b = append(append(b, cborArray|n, cborBytes|16), blob.ID[:]...)
	b = appendCBORInt(b, blob.Size)
	if blob.Off != 0 {
		b = appendCBORInt(b, blob.Off)
	}
	return b
}

func appendCBORList(b []byte, n int, null bool) []byte {
	if null {
		return append(b, cborNull)
	}
	return appendCBORHead(b, cborArray, uint64(n))
}

func appendCBORInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendCBORHead(b, cborNeg, uint64(-1-n))
	}
	return appendCBORHead(b, cborInt, uint64(n))
}

// appendCBORHead appends a major type with its argument, as short as can be.
func appendCBORHead(b []byte, major byte, n uint64) []byte {
	size := 0
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		b, size = append(b, major|24), 1
	case n <= math.MaxUint16:
		b, size = append(b, major|25), 2
	case n <= math.MaxUint32:
		b, size = append(b, major|26), 4
	default:
		b, size = append(b, major|27), 8
	}
	for size--; size >= 0; size-- {
		b = append(b, byte(n>>(8*size)))
	}
	return b
}

// UnmarshalCBOR implements [cbor.Unmarshaler].
func (r *Recipe) UnmarshalCBOR(row []byte) error {
	d := &cborRow{p: row}
	*r = Recipe{}
	d.exactly(4)
	r.Size = d.int()
	if n := d.list(); n >= 0 {
		r.Parts = make([]Part, n)
		for i := range r.Parts {
			r.Parts[i] = d.part()
		}
	}
	if n := d.list(); n >= 0 {
		r.Runs = make([]Run, n)
		for i := range r.Runs {
			d.exactly(2)
			r.Runs[i] = Run{Part: int(d.int()), Length: d.int()}
		}
	}
	if !d.null() {
		more := d.blob()
		r.More = &more
	}
	if d.bad || len(d.p) > 0 {
		return errMalformedRecipe
	}
	return nil
}

var errMalformedRecipe = errors.New("malformed recipe")

var (
	_ cbor.Marshaler   = Recipe{}
	_ cbor.Unmarshaler = (*Recipe)(nil)
)

// cborRow reads a row; once it is found bad all else reads as nothing.
type cborRow struct {
	p   []byte
	bad bool
}

func (d *cborRow) part() (p Part) {
	d.exactly(4)
	p.Kind = kindOf(d.take(d.head(cborText)))
	p.Size = d.int()
	if n := d.list(); n >= 0 {
		p.Blobs = make([]Blob, n)
		for i := range p.Blobs {
			p.Blobs[i] = d.blob()
		}
	}
	if b := d.take(1); len(b) == 1 && (b[0] == cborTrue || b[0] == cborFalse) {
		p.Owed = b[0] == cborTrue
	} else {
		d.bad = true
	}
	return p
}

// kindOf saves the allocation of a kind that is one of the usual.
func kindOf(b []byte) string {
	switch string(b) {
	case "tags":
		return "tags"
	case "art":
		return "art"
	case "index":
		return "index"
	case "seals":
		return "seals"
	case "probe":
		return "probe"
	case "audio":
		return "audio"
	case "data":
		return "data"
	}
	return string(b)
}

func (d *cborRow) blob() (b Blob) {
	n := d.head(cborArray)
	id := d.take(d.head(cborBytes))
	if n < 2 || n > 3 || len(id) != len(b.ID) {
		d.bad = true
		return b
	}
	copy(b.ID[:], id)
	b.Size = d.int()
	if n == 3 {
		b.Off = d.int()
	}
	return b
}

func (d *cborRow) int() int64 {
	if len(d.p) > 0 && d.p[0]>>5 == cborNeg>>5 {
		return -1 - int64(d.head(cborNeg))
	}
	return int64(d.head(cborInt))
}

func (d *cborRow) exactly(n uint64) {
	if d.head(cborArray) != n {
		d.bad = true
	}
}

// list gives the length of an array, -1 for null. Each element takes a byte at least.
func (d *cborRow) list() int {
	if d.null() {
		return -1
	}
	n := d.head(cborArray)
	if n > uint64(len(d.p)) {
		d.bad = true
		return -1
	}
	return int(n)
}

func (d *cborRow) null() bool {
	if len(d.p) == 0 || d.p[0] != cborNull {
		return false
	}
	d.p = d.p[1:]
	return true
}

// head reads the argument of a major type that says how much of something there is.
func (d *cborRow) head(major byte) uint64 {
	n := d.argument(major)
	if n > math.MaxInt64 {
		d.bad = true
		return 0
	}
	return n
}

func (d *cborRow) argument(major byte) uint64 {
	b := d.take(1)
	if len(b) == 0 || b[0]&0xe0 != major || b[0]&0x1f > 27 {
		d.bad = true
		return 0
	}
	n := uint64(b[0] & 0x1f)
	if n < 24 {
		return n
	}
	arg := d.take(1 << (n - 24))
	n = 0
	for _, c := range arg {
		n = n<<8 | uint64(c)
	}
	return n
}

func (d *cborRow) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.p)) {
		d.bad, d.p = true, nil
		return nil
	}
	b := d.p[:n]
	d.p = d.p[n:]
	return b
}
