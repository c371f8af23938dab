package label

import (
	"encoding/binary"
	"math"
)

// infoKeys are the texts of a LIST INFO chunk (Multimedia Programming Interface
// 1.0, §2), as ffmpeg and others use them.
var infoKeys = map[string]field{
	"INAM": title, "IART": artist, "IPRD": album, "IGNR": genre, "ICRD": year,
	"IPRT": track, "ITRK": track, "IMUS": composer, "ICOM": composer,
}

// aiffKeys are the text chunks of AIFF.
var aiffKeys = map[string]field{"NAME": title, "AUTH": artist}

// chunks walks the chunks of a RIFF or IFF file in [at, hi). size is 4 or 8, the
// bytes of a chunk's size.
func (f *file) chunks(at, hi int64, order binary.ByteOrder, size int, visit func(id string, body, n int64)) {
	for range maxSteps {
		h := f.bytes(at, 4+size)
		if h == nil || at >= hi {
			return
		}
		id, n := string(h[:4]), int64(0)
		if size == 8 {
			n = int64(min(order.Uint64(h[4:]), math.MaxInt64/2))
		} else {
			n = int64(order.Uint32(h[4:]))
		}
		body := at + 4 + int64(size)
		n = min(n, hi-body)
		visit(id, body, n)
		at = body + n
		if n%2 == 1 {
			at++
		}
	}
}

// wav reads a RIFF WAVE file and its relatives.
func (f *file) wav(lo, hi int64) {
	f.l.Format = "WAV"
	var order binary.ByteOrder = binary.LittleEndian
	if f.has(lo, "RIFX") {
		order = binary.BigEndian
	}
	var rate float64 // bytes in a second
	info, sound := set{}, float64(f.sound)
	f.chunks(lo+12, hi, order, 4, func(id string, body, n int64) {
		switch id {
		case "fmt ":
			if b := f.bytes(body, 12); b != nil {
				rate = float64(order.Uint32(b[8:]))
			}
		case "data":
			if sound == 0 {
				sound = float64(n)
			}
		case "id3 ", "ID3 ":
			f.id3(f.source, body)
		case "LIST":
			if f.has(body, "INFO") {
				f.info(body+4, body+n, order, info)
			}
		}
	})
	f.duration(sound, rate)
	f.merge(info)
}

func (f *file) info(at, hi int64, order binary.ByteOrder, s set) {
	f.chunks(at, hi, order, 4, func(id string, body, n int64) {
		if n <= maxField {
			v := legacy(f.some(body, int(n)))
			f.mark(id, v)
			s.add(infoKeys[id], v)
		}
	})
}

// aiff reads an AIFF or AIFC file.
func (f *file) aiff(lo, hi int64) {
	f.l.Format = "AIFF"
	s := set{}
	f.chunks(lo+12, hi, binary.BigEndian, 4, func(id string, body, n int64) {
		switch id {
		case "COMM":
			if b := f.bytes(body, 18); b != nil {
				f.duration(float64(binary.BigEndian.Uint32(b[2:])), extended(b[8:]))
			}
		case "ID3 ", "id3 ":
			f.id3(f.source, body)
		case "NAME", "AUTH", "ANNO":
			v := legacy(f.some(body, int(min(n, maxField))))
			f.mark(id, v)
			s.add(aiffKeys[id], v)
		}
	})
	f.merge(s)
}

// extended reads a number of 80 bits, as AIFF has for its rate.
func extended(b []byte) float64 {
	exp := int(binary.BigEndian.Uint16(b)&0x7FFF) - 16383 - 63
	return math.Ldexp(float64(binary.BigEndian.Uint64(b[2:])), exp)
}

// dff reads a DSDIFF file (DSDIFF 1.5): one bit a sample and channel.
func (f *file) dff(lo, hi int64) {
	f.l.Format = "DSD"
	var rate, channels, sound float64
	sound = float64(f.sound)
	f.chunks(lo+16, hi, binary.BigEndian, 8, func(id string, body, n int64) {
		switch id {
		case "PROP":
			f.chunks(body+4, body+n, binary.BigEndian, 8, func(id string, body, n int64) {
				switch b := f.some(body, 4); {
				case id == "FS  " && len(b) == 4:
					rate = float64(binary.BigEndian.Uint32(b))
				case id == "CHNL" && len(b) >= 2:
					channels = float64(binary.BigEndian.Uint16(b))
				}
			})
		case "DSD ":
			if sound == 0 {
				sound = float64(n)
			}
		case "ID3 ":
			f.id3(f.source, body)
		}
	})
	f.duration(sound*8, rate*channels)
}
