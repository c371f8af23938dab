package label

import (
	"bytes"
	"encoding/binary"
)

const (
	oggMagic = "OggS\x00"
	// oggTail is what holds the start of the last page, whatever its size.
	oggTail = 68 << 10
	// maxPages bounds how many pages the comment may reach over.
	maxPages = 4096
)

// codec is a kind of logical stream, by the beginning of its first packet.
type codec struct {
	magic, name string
	comment     int64 // bytes before the comment in the second packet
}

var codecs = []codec{
	{"\x01vorbis", "Vorbis", 7},
	{"OpusHead", "Opus", 8},
	{"Speex   ", "Speex", 0},
	{"\x7FFLAC", "FLAC", 4},
}

// oggFile follows the first stream of sound up to its comment.
type oggFile struct {
	*file
	codec  *codec
	serial uint32
	rate   float64
	skip   float64 // units that are not played
	packet int     // which is being collected
	pieces pieces  // of it
}

// ogg reads an Ogg file, RFC 3533 §6.
func (f *file) ogg(lo int64) {
	o := oggFile{file: f}
	for at, n := lo, 0; n < maxPages && o.packet < 2; n++ {
		h := bytes.Clone(f.bytes(at, 27))
		if h == nil || string(h[:5]) != oggMagic {
			break
		}
		lacing := bytes.Clone(f.some(at+27, int(h[26])))
		body := at + 27 + int64(h[26])
		if h[5]&2 != 0 && o.codec == nil {
			o.begin(body, binary.LittleEndian.Uint32(h[14:]))
		}
		if o.codec != nil && binary.LittleEndian.Uint32(h[14:]) == o.serial {
			o.page(body, lacing)
		}
		at = body
		for _, n := range lacing {
			at += int64(n)
		}
	}
	if o.codec == nil {
		f.l.Format = "Ogg"
		return
	}
	f.l.Format = o.codec.name
	if f.l.Seconds == 0 {
		o.length()
	}
}

// begin looks whether the stream whose first packet is at off is sound.
func (o *oggFile) begin(off int64, serial uint32) {
	b := o.some(off, 64)
	for i, c := range codecs {
		if !bytes.HasPrefix(b, []byte(c.magic)) {
			continue
		}
		o.codec, o.serial = &codecs[i], serial
		switch {
		case c.name == "Vorbis" && len(b) >= 16: // Vorbis I §4.2.2
			o.rate = float64(binary.LittleEndian.Uint32(b[12:]))
		case c.name == "Opus" && len(b) >= 12: // RFC 7845 §4, §5.1
			o.rate, o.skip = 48000, float64(binary.LittleEndian.Uint16(b[10:]))
		case c.name == "Speex" && len(b) >= 40:
			o.rate = float64(binary.LittleEndian.Uint32(b[36:]))
		case c.name == "FLAC" && len(b) >= 51: // RFC 9639 §10.1
			o.rate = float64(binary.BigEndian.Uint32(b[27:]) >> 12)
			o.streamInfo(b[17:51])
		}
		return
	}
}

// page collects the second packet, and reads it when it is whole.
func (o *oggFile) page(off int64, lacing []byte) {
	for _, n := range lacing {
		if o.packet == 1 {
			o.pieces.add(off, int64(n))
		}
		off += int64(n)
		if n == 255 {
			continue
		}
		if o.packet == 1 {
			o.pieces.source = o.source
			o.comments(&o.pieces, o.codec.comment)
		}
		if o.packet++; o.packet > 1 {
			return
		}
	}
}

// length takes the position of the last page for the length.
func (o *oggFile) length() {
	for _, n := range []int{4 << 10, oggTail} {
		b, _ := o.tail(n)
		for {
			i := bytes.LastIndex(b, []byte(oggMagic))
			if i < 0 {
				break
			}
			if p := b[i:]; len(p) >= 18 && binary.LittleEndian.Uint32(p[14:]) == o.serial {
				if at := int64(binary.LittleEndian.Uint64(p[6:])); at >= 0 {
					o.duration(float64(at)-o.skip, o.rate)
					return
				}
			}
			b = b[:i]
		}
	}
}

// pieces reads a packet that is spread over pages.
type pieces struct {
	source *source
	at     []stretch
	starts []int64 // of each, within the packet
	total  int64
}

func (p *pieces) add(off, n int64) {
	if n == 0 {
		return
	}
	if k := len(p.at); k > 0 && p.at[k-1].end == off {
		p.at[k-1].end += n
	} else {
		p.at = append(p.at, stretch{off, off + n})
		p.starts = append(p.starts, p.total)
	}
	p.total += n
}

// bytes is like that of source; what is in pieces is copied.
func (p *pieces) bytes(off int64, n int) []byte {
	if off < 0 || n <= 0 || off > p.total || int64(n) > p.total-off {
		return nil
	}
	i := 0
	for i+1 < len(p.starts) && p.starts[i+1] <= off {
		i++
	}
	var out []byte
	for at := p.at[i].off + off - p.starts[i]; ; at = p.at[i].off {
		k := int(min(int64(n-len(out)), p.at[i].end-at))
		b := p.source.bytes(at, k)
		if b == nil || k == n {
			return b
		}
		if out = append(out, b...); len(out) == n {
			return out
		}
		i++
	}
}
