package split

import "encoding/binary"

// maxTagCount bounds how many tags are peeled off one end of a file.
const maxTagCount = 64

const (
	id3Header = 10  // bytes of header and of footer, ID3v2.4 §3.1, §3.4
	maxLabel  = 640 // bytes searched for the image behind type and description
)

// Flags of the tag, ID3v2.4 §3.1.
const (
	id3Unsync   = 0x80
	id3Extended = 0x40 // in ID3v2.2 it says that the whole tag is compressed
	id3Footer   = 0x10
)

// id3 is the place of an ID3v2 tag.
type id3 struct {
	version  byte
	flags    byte
	off, end int64 // with header and footer
}

// head peels ID3v2 tags off the front, however many, and returns where they
// end.
func (c *cutter) head(off int64) int64 {
	for range maxTagCount {
		t, ok := c.f.id3(off, c.f.size)
		if !ok {
			break
		}
		c.id3Art(t)
		off = t.end
	}
	return off
}

// id3 finds the tag that begins at off. A size beyond hi means that there is
// none.
func (f *file) id3(off, hi int64) (id3, bool) {
	b := f.bytes(off, id3Header)
	if len(b) < id3Header || string(b[:3]) != "ID3" || b[3] < 2 || b[3] > 4 || b[4] == 0xFF {
		return id3{}, false
	}
	size, ok := syncsafe(b[6:])
	t := id3{version: b[3], flags: b[5], off: off, end: off + id3Header + size}
	if t.version == 4 && t.flags&id3Footer != 0 {
		t.end += id3Header
	}
	return t, ok && t.end <= hi
}

// syncsafe reads a 28-bit number in four bytes of seven bits, ID3v2.4 §6.2.
func syncsafe(b []byte) (int64, bool) {
	if (b[0]|b[1]|b[2]|b[3])&0x80 != 0 {
		return 0, false
	}
	return int64(b[0])<<21 | int64(b[1])<<14 | int64(b[2])<<7 | int64(b[3]), true
}

// id3Art finds the pictures in a tag by walking its frame headers. An
// unsynchronised tag has no plain image bytes, so its pictures stay tags.
func (c *cutter) id3Art(t id3) {
	if t.flags&id3Unsync != 0 || t.version == 2 && t.flags&id3Extended != 0 {
		return
	}
	at, end := t.off+id3Header, t.end
	if t.version == 4 && t.flags&id3Footer != 0 {
		end -= id3Header
	}
	if t.flags&id3Extended != 0 {
		at += c.id3ExtendedSize(at, t.version)
	}
	for range maxSteps {
		fr, ok := c.id3Frame(at, end, t.version)
		if !ok {
			return
		}
		if fr.picture {
			c.id3Picture(fr, t.version)
		}
		at = fr.end
	}
}

// id3ExtendedSize returns the size of the extended header at off: without its
// own size field in ID3v2.3 §3.2, with it in ID3v2.4 §3.2.
func (c *cutter) id3ExtendedSize(off int64, version byte) int64 {
	b := c.f.bytes(off, 4)
	if len(b) < 4 {
		return 0
	}
	if version == 3 {
		return 4 + int64(binary.BigEndian.Uint32(b))
	}
	n, _ := syncsafe(b)
	return n
}

// id3Frame is the place of a frame's content.
type id3Frame struct {
	body, end int64
	picture   bool // whose image is plain bytes
}

// id3Frame reads the frame header at off: ID3v2.2 §3.2, ID3v2.3 §3.3, ID3v2.4 §4.
func (c *cutter) id3Frame(off, hi int64, version byte) (id3Frame, bool) {
	header := 10
	if version == 2 {
		header = 6
	}
	b := c.f.bytes(off, header)
	if len(b) < header || off+int64(header) > hi || !isFrameID(b[:min(4, header/2)]) {
		return id3Frame{}, false
	}
	fr := id3Frame{body: off + int64(header)}
	if version == 2 {
		fr.end = fr.body + int64(b[3])<<16 + int64(b[4])<<8 + int64(b[5])
		fr.picture = string(b[:3]) == "PIC"
		return fr, fr.end <= hi
	}
	extra, plain := id3FrameFlags(b[9], version)
	fr.picture = plain && string(b[:4]) == "APIC"
	size := int64(binary.BigEndian.Uint32(b[4:]))
	if version == 4 {
		size = c.id3v24Size(fr.body, hi, [4]byte(b[4:8]))
	}
	fr.end = fr.body + size
	fr.body += extra
	return fr, fr.end <= hi
}

// isFrameID reports whether b could be a frame's name.
func isFrameID(b []byte) bool {
	for _, ch := range b {
		if (ch < 'A' || ch > 'Z') && (ch < '0' || ch > '9') {
			return false
		}
	}
	return true
}

// id3FrameFlags reads the format flags of a frame (ID3v2.3 §3.3.1, ID3v2.4
// §4.1.2): how many bytes precede the content, and whether it is plain.
func id3FrameFlags(flags, version byte) (extra int64, plain bool) {
	if version == 3 {
		if flags&0x20 != 0 { // group
			extra++
		}
		return extra, flags&0xC0 == 0 // compressed, encrypted
	}
	if flags&0x40 != 0 { // group
		extra++
	}
	if flags&0x01 != 0 { // data length
		extra += 4
	}
	return extra, flags&0x0E == 0 // compressed, encrypted, unsynchronised
}

// id3v24Size reads the size of a frame whose content begins at body. It is
// syncsafe by ID3v2.4 §4, but early iTunes and others wrote plain numbers: the
// one that leads to another frame, to padding or to the end is right.
func (c *cutter) id3v24Size(body, hi int64, b [4]byte) int64 {
	plain := int64(binary.BigEndian.Uint32(b[:]))
	size, ok := syncsafe(b[:])
	if !ok {
		return plain
	}
	if size != plain && !c.id3Follows(body+size, hi) && c.id3Follows(body+plain, hi) {
		return plain
	}
	return size
}

// id3Follows reports whether at off there is a frame, padding or the end.
func (c *cutter) id3Follows(off, hi int64) bool {
	if off >= hi {
		return off == hi
	}
	b := c.f.bytes(off, 4)
	return len(b) == 4 && (b[0] == 0 || isFrameID(b))
}

// id3Picture finds the image in an APIC frame (ID3v2.4 §4.14) or a PIC frame
// (ID3v2.2 §4.15): behind encoding, type, kind and description.
func (c *cutter) id3Picture(fr id3Frame, version byte) {
	if fr.end-fr.body < minArt {
		return
	}
	b := c.f.bytes(fr.body, int(min(maxLabel, fr.end-fr.body)))
	at := 5 // encoding, three letters of format, kind
	if version > 2 {
		if at = skipText(b, 1, 0); at == 0 {
			return
		}
		at++
	}
	if len(b) == 0 || at >= len(b) {
		return
	}
	if at = skipText(b, at, b[0]); at > 0 {
		c.picture([]extent{{fr.body + int64(at), fr.end - fr.body - int64(at)}})
	}
}

// skipText returns where the terminated text at i ends, 0 if it does not.
// Encodings 1 and 2 have two bytes a unit, ID3v2.4 §4.
func skipText(b []byte, i int, encoding byte) int {
	if encoding != 1 && encoding != 2 {
		for ; i < len(b); i++ {
			if b[i] == 0 {
				return i + 1
			}
		}
		return 0
	}
	for ; i+1 < len(b); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return i + 2
		}
	}
	return 0
}
