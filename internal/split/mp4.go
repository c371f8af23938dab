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

// box is a box's place.
type box struct {
	kind           string
	off, body, end int64
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
		at = b.end
	}
	return at
}

// box reads the box header at off, ISO/IEC 14496-12 §4.2: size 0 means to the
// end, size 1 a size of 64 bits. A box is clipped to what is around it.
func (m *mp4Cutter) box(off, hi int64) (box, bool) {
	h := m.f.bytes(off, 16)
	if len(h) < 8 || off+8 > hi || !isFourCC(h[4:8]) {
		return box{}, false
	}
	size := uint64(binary.BigEndian.Uint32(h))
	b := box{kind: string(h[4:8]), off: off, body: off + 8}
	switch {
	case size == 0:
		size = math.MaxUint64
	case size == 1:
		if len(h) < 16 {
			return box{}, false
		}
		size, b.body = binary.BigEndian.Uint64(h[8:]), off+16
	}
	if size < uint64(b.body-off) || b.body > hi {
		return box{}, false
	}
	b.end = off + int64(min(size, uint64(hi-off)))
	return b, true
}

// visit names the bytes of a box. Sound and fragments are only so at the top.
func (m *mp4Cutter) visit(b box, depth int) {
	switch boxes[b.kind] {
	case boxOpen:
		m.open(b.body, b.end, depth)
	case boxMeta:
		m.open(m.metaBody(b), b.end, depth)
	case boxCover:
		m.cover(b)
	case boxTable:
		m.upto(Tags, b.off)
		m.upto(Index, b.end)
	case boxPlace:
		m.upto(Tags, b.off)
		m.upto(Seals, b.end)
	case boxSound:
		if depth == 0 && b.end > b.body {
			m.found = true
			m.upto(Tags, b.body)
			m.upto(Audio, b.end)
		}
	}
	m.upto(Tags, b.end)
}

// open visits the boxes within one.
func (m *mp4Cutter) open(at, end int64, depth int) {
	if depth < maxBoxDepth {
		m.walk(at, end, depth+1)
	}
}

// metaBody returns where the boxes in meta begin: behind version and flags
// (ISO/IEC 14496-12 §8.11.1), which QuickTime does not have.
func (m *mp4Cutter) metaBody(b box) int64 {
	if m.f.has(b.body+4, "hdlr") {
		return b.body
	}
	return b.body + 4
}

// cover finds the pictures in a cover: data boxes with a type and a locale of
// four bytes each (QuickTime File Format, Metadata Value Atom).
func (m *mp4Cutter) cover(b box) {
	for at := b.body; m.steps > 0; {
		m.steps--
		d, ok := m.box(at, b.end)
		if !ok {
			return
		}
		if d.kind == "data" && d.end-d.body > 8 {
			m.picture([]extent{{d.body + 8, d.end - d.body - 8}})
		}
		at = d.end
	}
}
