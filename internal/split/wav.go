package split

import (
	"encoding/binary"
	"math"
)

// isWAV knows RIFF and its big-endian twin RIFX, and RF64 (EBU Tech 3306) and
// BW64 (ITU-R BS.2088), whose sizes have 64 bits.
func isWAV(magic []byte) bool {
	switch string(magic[:4]) {
	case "RIFF", "RIFX", "RF64", "BW64":
		return string(magic[8:12]) == "WAVE"
	}
	return false
}

// cutWAV takes the data chunk as sound. The pad byte behind it is not sound.
func cutWAV(c *cutter, lo, hi int64) bool {
	w := iff{cutter: c, order: binary.LittleEndian}
	if c.f.has(lo, "RIFX") {
		w.order = binary.BigEndian
	}
	found := false
	var wide uint64 // the data chunk's size in ds64
	w.chunks(lo+12, hi, func(k *chunk) {
		switch k.id {
		case "ds64":
			wide = w.dataSize(k)
		case "id3 ", "ID3 ":
			w.tag(k)
		case "data":
			k.end = wavEnd(k, hi, wide)
			found = found || k.end > k.body
			w.upto(Tags, k.body)
			w.upto(Audio, k.end)
		}
	})
	return found
}

// dataSize reads the second number of a ds64 chunk, EBU Tech 3306 §3.
func (w iff) dataSize(k *chunk) uint64 {
	b := w.f.bytes(k.body, 16)
	if len(b) < 16 || k.end-k.body < 16 {
		return 0
	}
	return w.order.Uint64(b[8:])
}

// wavEnd returns where the sound ends. Recorders that were cut off and programs
// that write to a pipe leave 0 or FFFFFFFF: then it goes on to the end, as it
// does when there is less than declared.
func wavEnd(k *chunk, hi int64, wide uint64) int64 {
	size := k.size
	if k.size == math.MaxUint32 && wide > 0 {
		size = wide
	}
	if size == 0 || size == math.MaxUint32 || size > uint64(hi-k.body) {
		return hi
	}
	return k.body + int64(size)
}
