package split

import "encoding/binary"

// chunk is a chunk of a RIFF or IFF file.
type chunk struct {
	id   string
	size uint32 // as declared
	body int64
	end  int64 // clipped to the file, without padding
}

// iff walks the chunks of a file. Both families agree on it: a name, a size, a
// body, and a zero byte if the size is odd.
type iff struct {
	*cutter
	order binary.ByteOrder
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
		// Programs forget the padding; then the next name is here.
		if b := w.f.bytes(at, 1); (at-k.body)%2 != 0 && at < hi && len(b) == 1 && b[0] == 0 {
			at++
		}
	}
	w.leftover(at, hi)
}

// chunk reads the chunk header at off.
func (w iff) chunk(off, hi int64) (chunk, bool) {
	b := w.f.bytes(off, 8)
	if len(b) < 8 || off+8 > hi || !isFourCC(b[:4]) {
		return chunk{}, false
	}
	k := chunk{id: string(b[:4]), size: w.order.Uint32(b[4:]), body: off + 8}
	k.end = min(hi, k.body+int64(k.size))
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
