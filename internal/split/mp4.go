package split

import (
	"encoding/binary"
	"math"
)

// maxBoxDepth bounds how deep boxes are opened; covr's data is the deepest that
// is wanted, at moov/udta/meta/ilst/covr/data.
const maxBoxDepth = 10

// boxUse is what becomes of a box.
type boxUse uint8

const (
	boxOpen  boxUse = iota + 1 // holds other boxes
	boxMeta                    // the same behind four bytes, mostly
	boxCover                   // holds pictures
	boxTable                   // Index
	boxPlace                   // Seals
	boxSound                   // Audio
)

// boxes are the boxes that are not simply tags (ISO/IEC 14496-12 §8). A retag
// that makes moov longer moves the chunks, hence changes their offsets, but none
// of the tables.
var boxes = map[string]boxUse{
	"moov": boxOpen, "trak": boxOpen, "mdia": boxOpen, "minf": boxOpen, "stbl": boxOpen,
	"udta": boxOpen, "ilst": boxOpen,
	"meta": boxMeta,
	"covr": boxCover,
	"stsd": boxTable, "stts": boxTable, "stsc": boxTable, "stsz": boxTable, "stz2": boxTable,
	"ctts": boxTable, "stss": boxTable, "sdtp": boxTable, "sbgp": boxTable, "sgpd": boxTable,
	"moof": boxTable, "sidx": boxTable,
	"stco": boxPlace, "co64": boxPlace,
	"mdat": boxSound,
}

// isMP4 knows the boxes that a file may begin with.
func isMP4(magic []byte) bool {
	switch string(magic[4:8]) {
	case "ftyp", "styp", "moov", "mdat", "moof", "sidx", "free", "skip", "wide", "pnot":
		size := binary.BigEndian.Uint32(magic)
		return size <= 1 || size >= 8
	}
	return false
}

// Box is the place of a box of MP4, an object of ASF, a packet of Musepack: its header
// is at Off, what is in it from Body to End.
type Box struct {
	Kind           string
	Off, Body, End int64
}

// ParseBox reads a box header that lies at off, ISO/IEC 14496-12 §4.2: size 0 means
// to the end, size 1 a size of 64 bits. h are its first 16 bytes, or fewer where the file
// ends; hi is the end of what is around the box, which clips it.
func ParseBox(h []byte, off, hi int64) (Box, bool) {
	if len(h) < 8 {
		return Box{}, false
	}
	size := uint64(binary.BigEndian.Uint32(h))
	b := Box{Kind: string(h[4:8]), Off: off, Body: off + 8}
	switch {
	case size == 0:
		size = math.MaxUint64
	case size == 1:
		if len(h) < 16 {
			return Box{}, false
		}
		size, b.Body = binary.BigEndian.Uint64(h[8:]), off+16
	}
	if size < uint64(b.Body-off) || b.Body > hi {
		return Box{}, false
	}
	b.End = off + int64(min(size, uint64(hi-off)))
	return b, true
}

// mp4Cutter walks boxes.
type mp4Cutter struct {
	*cutter
	steps int // boxes that may still be visited
	found bool
}

// cutMP4 takes the payload of every mdat as sound.
func cutMP4(c *cutter, lo, hi int64) bool {
	m := mp4Cutter{cutter: c, steps: maxSteps}
	at := m.walk(lo, hi, 0)
	m.leftover(at, hi)
	return m.found
}

// walk visits the boxes in [at, hi) and returns where the last one ends.
func (m *mp4Cutter) walk(at, hi int64, depth int) int64 {
	for at < hi && m.steps > 0 {
		m.steps--
		b, ok := m.box(at, hi)
		if !ok {
			break
		}
		m.visit(b, depth)
		at = b.End
	}
	return at
}

// box reads the box header at off.
func (m *mp4Cutter) box(off, hi int64) (Box, bool) {
	b, ok := ParseBox(m.f.bytes(off, 16), off, hi)
	return b, ok && isFourCC([]byte(b.Kind))
}

// visit names the bytes of a box. Sound and fragments are only so at the top.
func (m *mp4Cutter) visit(b Box, depth int) {
	switch boxes[b.Kind] {
	case boxOpen:
		m.open(b.Body, b.End, depth)
	case boxMeta:
		m.open(m.metaBody(b), b.End, depth)
	case boxCover:
		m.cover(b)
	case boxTable:
		m.upto(Tags, b.Off)
		m.upto(Index, b.End)
	case boxPlace:
		m.upto(Tags, b.Off)
		m.upto(Seals, b.End)
	case boxSound:
		if depth == 0 && b.End > b.Body {
			m.found = true
			m.upto(Tags, b.Body)
			m.upto(Audio, b.End)
		}
	}
	m.upto(Tags, b.End)
}

// open visits the boxes within one.
func (m *mp4Cutter) open(at, end int64, depth int) {
	if depth < maxBoxDepth {
		m.walk(at, end, depth+1)
	}
}

// metaBody returns where the boxes in meta begin: behind version and flags
// (ISO/IEC 14496-12 §8.11.1), which QuickTime does not have.
func (m *mp4Cutter) metaBody(b Box) int64 {
	if m.f.has(b.Body+4, "hdlr") {
		return b.Body
	}
	return b.Body + 4
}

// cover finds the pictures in a cover: data boxes with a type and a locale of
// four bytes each (QuickTime File Format, Metadata Value Atom).
func (m *mp4Cutter) cover(b Box) {
	for at := b.Body; m.steps > 0; {
		m.steps--
		d, ok := m.box(at, b.End)
		if !ok {
			return
		}
		if d.Kind == "data" && d.End-d.Body > 8 {
			m.picture([]extent{{d.Body + 8, d.End - d.Body - 8}})
		}
		at = d.End
	}
}
