package split

import (
	"bytes"
	"encoding/binary"
)

const (
	oggMagic  = "OggS\x00" // and stream structure version 0
	oggHeader = 27         // bytes before the lacing, RFC 3533 §6
	oggSeals  = 18         // where sequence number and checksum begin
	oggSealed = 26         // and where they end

	oggContinued = 1 // the page begins inside a packet
	oggFirst     = 2 // the page begins a logical stream
	oggLast      = 4 // the page ends one

	// maxResync bounds how much of a file is searched for lost pages.
	maxResync = 4 << 20
	// maxStreams bounds how many streams are followed. Links of a chain end, or
	// ought to; when this many have not, they are forgotten.
	maxStreams = 4096
)

func isOgg(magic []byte) bool { return string(magic[:5]) == oggMagic }

// oggPage is a page's place and header.
type oggPage struct {
	off, body, end int64
	flags          byte
	serial         uint32
	lacing         []byte // valid until the next page
}

// oggCutter walks the pages of a physical stream.
type oggCutter struct {
	*cutter
	streams map[uint32]*oggStream // by serial number
	lacing  [255]byte
	resync  int64 // bytes that may still be searched
}

// cutOgg separates page bodies from page headers. Bodies only, because taggers
// cut the same packets into other pages. Sequence numbers and checksums are
// seals: they are all that changes in a page when one is put in before it.
// Multiplexed streams interleave, chained ones follow each other; the pages say
// which stream is theirs and where one begins (RFC 3533 §4).
func cutOgg(c *cutter, lo, hi int64) bool {
	c.tail = probeTailOgg
	o := oggCutter{cutter: c, streams: map[uint32]*oggStream{}, resync: maxResync}
	for at := lo; at < hi && !c.full; {
		p, ok := o.page(at, hi)
		if !ok {
			at = o.find(at, hi)
			c.upto(Audio, at) // a hole is bytes like any other
			continue
		}
		o.cut(p)
		at = p.end
	}
	return c.total(Audio) > 0
}

// page reads the page header at off. A body may end with the file.
func (o *oggCutter) page(off, hi int64) (oggPage, bool) {
	b := o.f.bytes(off, oggHeader)
	if len(b) < oggHeader || string(b[:5]) != oggMagic {
		return oggPage{}, false
	}
	n := int(b[26])
	b = o.f.bytes(off, oggHeader+n)
	p := oggPage{off: off, body: off + int64(oggHeader+n)}
	if len(b) < oggHeader+n || p.body > hi {
		return oggPage{}, false
	}
	p.flags, p.serial = b[5], binary.LittleEndian.Uint32(b[14:])
	p.lacing = o.lacing[:copy(o.lacing[:], b[oggHeader:])]
	p.end = p.body
	for _, l := range p.lacing {
		p.end += int64(l)
	}
	p.end = min(p.end, hi)
	return p, true
}

// find returns where the next page begins after off, hi if there is none. The
// capture pattern is there for this (RFC 3533 §6).
func (o *oggCutter) find(off, hi int64) int64 {
	const step = 4 << 10
	for at := off + 1; at < hi && o.resync > 0; {
		b := o.f.bytes(at, int(min(step, hi-at)))
		if i := bytes.Index(b, []byte(oggMagic)); i >= 0 {
			o.resync -= int64(i)
			return at + int64(i)
		}
		n := int64(len(b) - len(oggMagic) + 1)
		if n <= 0 {
			break
		}
		at += n
		o.resync -= n
	}
	return hi
}

// cut names the bytes of a page.
func (o *oggCutter) cut(p oggPage) {
	if p.flags&oggFirst != 0 {
		if len(o.streams) == maxStreams {
			clear(o.streams)
		}
		o.streams[p.serial] = o.begin(p)
	}
	s := o.streams[p.serial]
	if s != nil && s.more() {
		o.upto(Tags, p.body)
		o.upto(Tags, o.headers(s, p))
	} else {
		o.upto(Index, p.off+oggSeals)
		o.upto(Seals, p.off+oggSealed)
		o.upto(Index, p.body)
	}
	o.upto(Audio, p.end)
	if p.flags&oggLast != 0 {
		delete(o.streams, p.serial)
	}
}
