package split

import (
	"bytes"
	"encoding/binary"
	"math"
)

// oggCodec is what a coding keeps in front of its sound in an Ogg stream.
type oggCodec struct {
	magic   string // at the start of the first packet
	headers int    // header packets
	comment int64  // bytes before the comment in the second packet
	// isHeader tells a header packet by its first byte, so that a stream whose
	// headers are damaged does not go on for ever. Nil: every packet.
	isHeader func(first byte) bool
}

// oggFLAC has metadata blocks for packets (RFC 9639 §10.1); sound begins with
// the sync code.
var oggFLAC = oggCodec{"\x7fFLAC", 2, 0, func(b byte) bool { return b != 0xFF }}

// oggSpeex has headers of its own number (Speex manual §7.3).
var oggSpeex = oggCodec{"Speex   ", 2, 0, nil}

const (
	// maxSpeexExtra bounds the number of further headers that is believed.
	maxSpeexExtra = 16
	// maxHeaderPages bounds how many pages a header packet may span.
	maxHeaderPages = 1 << 16
)

var oggCodecs = []*oggCodec{
	// Vorbis I §4.2.1: odd types are headers.
	{"\x01vorbis", 3, 7, func(b byte) bool { return b&1 != 0 }},
	{"OpusHead", 2, 8, nil}, // RFC 7845 §3
	&oggSpeex,
	// Theora specification §6.1: the highest bit marks a header.
	{"\x80theora", 3, 7, func(b byte) bool { return b&0x80 != 0 }},
	&oggFLAC,
	{"fishead\x00", math.MaxInt, 0, nil}, // Ogg Skeleton is nothing but header
}

// oggOther is a stream of unknown coding: its first packet is a header.
var oggOther = oggCodec{headers: 1}

// oggStream is a logical stream whose header packets are being read.
type oggStream struct {
	codec  *oggCodec
	want   int      // header packets in all
	seen   int      // header packets complete
	packet []extent // the one that is not
}

// more reports whether header packets are to come.
func (s *oggStream) more() bool { return s.seen < s.want }

// setup reports whether the packet being read is the third of Vorbis or Theora:
// kilobytes of codebooks, which no tagger changes.
func (s *oggStream) setup() bool { return s.seen == 2 && s.codec.headers == 3 }

// begin makes the stream whose first page is p.
func (o *oggCutter) begin(p oggPage) *oggStream {
	b := o.f.bytes(p.body, int(min(80, p.end-p.body)))
	for _, codec := range oggCodecs {
		if bytes.HasPrefix(b, []byte(codec.magic)) {
			return &oggStream{codec: codec, want: oggHeaders(codec, b)}
		}
	}
	return &oggStream{codec: &oggOther, want: 1}
}

// oggHeaders returns how many header packets the first of them announces.
func oggHeaders(codec *oggCodec, first []byte) int {
	switch {
	case codec == &oggFLAC && len(first) >= 9:
		if n := int(binary.BigEndian.Uint16(first[7:])); n > 0 {
			return 1 + n
		}
		return math.MaxInt // until a block says that it is the last
	case codec == &oggSpeex && len(first) >= 72:
		if n := binary.LittleEndian.Uint32(first[68:]); n <= maxSpeexExtra {
			return codec.headers + int(n)
		}
	}
	return codec.headers
}

// headers reads the header packets on a page and returns where they end; what
// it does not name is tags. Sound ought to begin on a page of its own, but not every writer sees to that.
func (o *oggCutter) headers(s *oggStream, p oggPage) int64 {
	if p.flags&oggContinued == 0 {
		s.packet = nil
	}
	at := p.body
	for i := 0; i < len(p.lacing); {
		from := at
		complete := false
		for ; i < len(p.lacing) && !complete; i++ {
			at = min(at+int64(p.lacing[i]), p.end)
			complete = p.lacing[i] < 255
		}
		if len(s.packet) == maxHeaderPages || len(s.packet) == 0 && !o.isHeader(s, from) {
			s.want = s.seen
			return from
		}
		if s.setup() {
			o.upto(Tags, from)
			o.upto(Index, at)
		}
		if at > from {
			s.packet = append(s.packet, extent{from, at - from})
		}
		if !complete {
			break
		}
		if o.packet(s); !s.more() {
			return at
		}
	}
	return p.end
}

// isHeader reports whether the packet at off can be a header.
func (o *oggCutter) isHeader(s *oggStream, off int64) bool {
	b := o.f.bytes(off, 1)
	return s.seen == 0 || s.codec.isHeader == nil || len(b) == 1 && s.codec.isHeader(b[0])
}

// packet looks into a complete header packet.
func (o *oggCutter) packet(s *oggStream) {
	p := newCursor(o.f, s.packet...)
	s.packet = nil
	s.seen++
	switch {
	case s.seen == 1:
	case s.codec == &oggFLAC:
		o.flacPacket(s, p)
	case s.seen == 2 && s.codec.headers > 1 && p.skip(s.codec.comment):
		o.comments(p)
	}
}

// flacPacket reads a metadata block, which is the last one if it says so.
func (o *oggCutter) flacPacket(s *oggStream, p *cursor) {
	b := p.bytes(4)
	if b == nil {
		return
	}
	kind, last := b[0]&0x7F, b[0]&0x80 != 0
	o.flacBlock(kind, p)
	if last && s.want == math.MaxInt {
		s.want = s.seen
	}
}
