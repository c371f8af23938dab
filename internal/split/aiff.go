package split

import "encoding/binary"

// ssndPrefix is the sound data chunk's offset and block size, in bytes (AIFF
// 1.3, Sound Data Chunk).
const ssndPrefix = 8

func isAIFF(magic []byte) bool {
	kind := string(magic[8:12])
	return string(magic[:4]) == "FORM" && (kind == "AIFF" || kind == "AIFC")
}

// cutAIFF takes the sound data chunk behind its prefix as sound.
func cutAIFF(c *cutter, lo, hi int64) bool {
	w := iff{cutter: c, order: binary.BigEndian}
	found := false
	w.chunks(lo+12, hi, func(k *chunk) {
		switch k.id {
		case "ID3 ", "id3 ":
			w.tag(k)
		case "SSND":
			if k.end-k.body > ssndPrefix {
				found = true
				w.upto(Tags, k.body+ssndPrefix)
				w.upto(Audio, k.end)
			}
		}
	})
	return found
}
