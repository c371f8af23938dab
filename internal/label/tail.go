package label

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// tails reads the tags behind the file, whatever their order: APEv2 and ID3v1,
// with Lyrics3 between them, and ID3v2.4 that is appended.
func (f *file) tails(lo, hi int64) {
	var v1 []byte
	for range 16 {
		b := f.bytes(hi-32, 32)
		switch {
		case b == nil:
		case string(b[:8]) == "APETAGEX":
			size := int64(binary.LittleEndian.Uint32(b[12:]))
			if at := hi - size; size >= 32 && at >= lo {
				f.ape(at, hi-32, int(binary.LittleEndian.Uint32(b[16:])))
				hi = at
				if f.has(hi-32, "APETAGEX") {
					hi -= 32
				}
				continue
			}
		case string(b[23:]) == "LYRICS200":
			if n, err := strconv.ParseUint(string(b[17:23]), 10, 32); err == nil && hi-15-int64(n) >= lo {
				hi -= 15 + int64(n)
				continue
			}
		case string(b[22:25]) == "3DI":
			if n := syncsafe(b[28:]); n >= 0 && hi-20-n >= lo {
				hi -= 20 + n
				f.id3(f.source, hi)
				continue
			}
		}
		if v1 == nil && hi-128 >= lo && f.has(hi-128, "TAG") {
			v1 = append(v1, f.bytes(hi-128, 128)...)
			hi -= 128
			continue
		}
		break
	}
	if len(v1) == 128 {
		f.id3v1(v1)
	}
}

// ape reads the items of an APE tag in [at, end).
func (f *file) ape(at, end int64, count int) {
	s := set{}
	for range min(count, maxSteps) {
		h := f.bytes(at, 8)
		if h == nil {
			break
		}
		size, flags := int64(binary.LittleEndian.Uint32(h)), binary.LittleEndian.Uint32(h[4:])
		head := f.some(at+8, int(min(257, end-at-8)))
		key, _, ok := strings.Cut(string(head), "\x00")
		if !ok || size > end-at {
			break
		}
		at += 8 + int64(len(key)) + 1
		if flags>>1&3 == 0 && size <= maxField { // text, not binary
			v := string(f.bytes(at, int(size)))
			f.mark(key, v)
			for _, v := range strings.Split(v, "\x00") {
				s.add(vorbisKeys[squash(key)], v)
			}
		}
		at += size
	}
	f.merge(s)
}
