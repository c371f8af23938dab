package split

import "encoding/binary"

func isDSF(magic []byte) bool {
	return string(magic[:4]) == "DSD " && binary.LittleEndian.Uint64(magic[4:]) == dsfHeader
}

const (
	dsfHeader  = 28 // bytes of the DSD chunk
	dsfPointer = 20 // where in it is the place of the tag
)

// cutDSF takes the data chunk as sound. The ID3v2 tag behind it is no chunk: the
// first one says where it is (DSF File Format Specification 1.01, "DSD chunk").
func cutDSF(c *cutter, lo, hi int64) bool {
	b := c.f.bytes(lo, dsfHeader)
	if len(b) < dsfHeader {
		return false
	}
	end, tail := hi, hi // of the chunks, and where there is a tag behind them, of that
	if at := binary.LittleEndian.Uint64(b[dsfPointer:]); at >= dsfHeader && at < uint64(hi-lo) {
		if t, ok := c.f.id3(lo+int64(at), hi); ok {
			c.id3Art(t)
			end, tail = t.off, t.end
		}
	}
	found := false
	w := iff{cutter: c, order: binary.LittleEndian, wide: true, whole: true, packed: true}
	w.chunks(lo, end, func(k *chunk) {
		if k.id == "data" && k.end > k.body {
			found = true
			w.upto(Tags, k.body)
			w.upto(Audio, k.end)
		}
	})
	c.leftover(tail, hi)
	return found
}

func isDFF(magic []byte) bool { return string(magic[:4]) == "FRM8" }

// cutDFF takes the sound, plain or compressed, as it is in its chunk (DSDIFF 1.5,
// §3.3, §3.4). The form's own header is longer than that of a chunk by the name
// of its type.
func cutDFF(c *cutter, lo, hi int64) bool {
	if !c.f.has(lo+12, "DSD ") {
		return false
	}
	found := false
	w := iff{cutter: c, order: binary.BigEndian, wide: true}
	w.chunks(lo+16, hi, func(k *chunk) {
		switch k.id {
		case "ID3 ", "id3 ":
			w.tag(k)
		case "DSTI":
			w.upto(Tags, k.body)
			w.upto(Index, k.end)
		case "DSD ", "DST ":
			found = found || k.end > k.body
			w.upto(Tags, k.body)
			w.upto(Audio, k.end)
		}
	})
	return found
}
