package split

import "encoding/binary"

const (
	cafHeader  = 8 // bytes of file header
	cafEditing = 4 // and of the count of edits before the sound
)

func isCAF(magic []byte) bool { return string(magic[:6]) == "caff\x00\x01" }

// cutCAF takes the data chunk behind its count of edits as sound; its size may be
// -1, to the end (Apple Core Audio Format Specification 1.0, "Audio Data Chunk").
// The packet table is index.
func cutCAF(c *cutter, lo, hi int64) bool {
	found := false
	w := iff{cutter: c, order: binary.BigEndian, wide: true, packed: true}
	w.chunks(lo+cafHeader, hi, func(k *chunk) {
		switch {
		case k.id == "pakt":
			w.upto(Tags, k.body)
			w.upto(Index, k.end)
		case k.id == "data" && k.end-k.body > cafEditing:
			found = true
			w.upto(Tags, k.body+cafEditing)
			w.upto(Audio, k.end)
		}
	})
	return found
}
