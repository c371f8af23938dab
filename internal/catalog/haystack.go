package catalog

import "bytes"

// haystack is folded texts one behind the other, each of an owner, to be searched in
// one go. It only grows: what an owner has no more is passed over by its reader.
type haystack struct {
	text   []byte
	starts []uint32
	owners []uint32
}

// end follows each text. No text holds it, being UTF-8.
const end = 0xFF

// add keeps a text and gives its number.
func (h *haystack) add(owner uint32, s string) uint32 {
	h.starts = append(h.starts, uint32(len(h.text)))
	h.owners = append(h.owners, owner)
	h.text = append(append(h.text, s[:min(len(s), longest)]...), end)
	return uint32(len(h.starts) - 1)
}

func (h *haystack) stop(i int) int {
	if i+1 < len(h.starts) {
		return int(h.starts[i+1])
	}
	return len(h.text)
}

// bytes gives a text as it lies there: not to be changed.
func (h *haystack) bytes(i uint32) []byte { return h.text[h.starts[i] : h.stop(int(i))-1] }

// find calls fn for each text that holds the word, and tells how it lies there.
func (h *haystack) find(word []byte, fn func(i, owner uint32, how uint8)) {
	for at, i := 0, 0; ; i++ {
		k := bytes.Index(h.text[at:], word)
		if k < 0 {
			return
		}
		for h.stop(i) <= at+k {
			i++
		}
		fn(uint32(i), h.owners[i], lies(h.bytes(uint32(i)), word))
		at = h.stop(i)
	}
}

// How a word lies in a text: the lower the better; 0 is not at all.
const (
	absent uint8 = iota
	whole
	begins
	beginsWord
	within
)

// lies tells how a word lies in a folded text.
func lies(in, word []byte) uint8 {
	found := absent
	for off := 0; ; {
		i := bytes.Index(in[off:], word)
		switch at := off + i; {
		case i < 0:
			return found
		case at == 0 && len(in) == len(word):
			return whole
		case at == 0:
			return begins
		case in[at-1] == ' ':
			return beginsWord
		default:
			found, off = within, at+1
		}
	}
}
