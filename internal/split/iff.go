package split

import "encoding/binary"

// chunk is a chunk of a RIFF or IFF file.
type chunk struct {
	id   string
	size uint64 // as declared, without the header
	body int64
	end  int64 // clipped to the file, without padding
}

// iff walks the chunks of a file. The families agree on a name, a size and a
// body, and differ in the rest.
type iff struct {
	*cutter
	order  binary.ByteOrder
	wide   bool // sizes have 64 bits
	whole  bool // and count the header
	packed bool // no zero byte follows an odd size
}

// chunks calls visit on the chunks in [at, hi), which may move a chunk's end. It
// names what visit does not: chunks that lead nowhere are tags.
func (w iff) chunks(at, hi int64, visit func(*chunk)) {
	for range maxSteps {
		k, ok := w.chunk(at, hi)
		if !ok {
			break
		}
		visit(&k)
		w.upto(Tags, k.end)
		at = k.end
		if w.packed || (at-k.body)%2 == 0 || at >= hi {
			continue
		}
		// Programs forget the padding; then the next name is here.
		if b := w.f.bytes(at, 1); len(b) == 1 && b[0] == 0 {
			at++
		}
	}
	w.leftover(at, hi)
}

// chunk reads the chunk header at off.
func (w iff) chunk(off, hi int64) (chunk, bool) {
	header := 8
	if w.wide {
		header = 12
	}
	b := w.f.bytes(off, header)
	if len(b) < header || off+int64(header) > hi || !isFourCC(b[:4]) {
		return chunk{}, false
	}
	k := chunk{id: string(b[:4]), body: off + int64(header)}
	if w.wide {
		k.size = w.order.Uint64(b[4:])
	} else {
		k.size = uint64(w.order.Uint32(b[4:]))
	}
	if w.whole {
		if k.size < uint64(header) {
			return chunk{}, false
		}
		k.size -= uint64(header)
	}
	k.end = k.body + int64(min(k.size, uint64(hi-k.body)))
	return k, true
}

// tag finds the pictures in an ID3v2 tag that is a chunk.
func (w iff) tag(k *chunk) {
	if t, ok := w.f.id3(k.body, k.end); ok {
		w.id3Art(t)
	}
}

// isFourCC reports whether b is printable, as names of chunks and boxes are.
// Apple's begin with a copyright sign.
func isFourCC(b []byte) bool {
	for _, ch := range b {
		if (ch < ' ' || ch > '~') && ch != 0xA9 {
			return false
		}
	}
	return true
}
