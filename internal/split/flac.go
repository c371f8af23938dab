package split

import "encoding/binary"

// Types of metadata block, RFC 9639 §8.1.
const (
	flacComment = 4
	flacPicture = 6
	flacInvalid = 127
)

func isFLAC(magic []byte) bool { return string(magic[:4]) == "fLaC" }

// cutFLAC takes everything behind the last metadata block as sound, if a frame
// begins there. The seek table counts from the first frame, so it is a tag like
// the other blocks (RFC 9639 §8.5).
func cutFLAC(c *cutter, lo, hi int64) bool {
	at := lo + 4
	for range maxSteps {
		b := c.f.bytes(at, 4)
		if len(b) < 4 || b[0]&0x7F == flacInvalid {
			return false
		}
		last, kind := b[0]&0x80 != 0, b[0]&0x7F
		size := int64(binary.BigEndian.Uint32(b) & 0xFFFFFF)
		if at+4+size > hi {
			return false
		}
		if size > 0 {
			c.flacBlock(kind, newCursor(c.f, extent{at + 4, size}))
		}
		if at += 4 + size; last {
			return c.flacFrames(at, hi)
		}
	}
	return false
}

// flacBlock finds the pictures in a metadata block.
func (c *cutter) flacBlock(kind byte, block *cursor) {
	switch kind {
	case flacPicture:
		c.flacPicture(block)
	case flacComment:
		c.comments(block)
	}
}

// flacFrames names [at, hi) sound if it begins with a frame's sync code, RFC
// 9639 §9.1.
func (c *cutter) flacFrames(at, hi int64) bool {
	b := c.f.bytes(at, 2)
	if at+2 > hi || len(b) < 2 || b[0] != 0xFF || b[1]&0xFE != 0xF8 {
		return false
	}
	c.upto(Tags, at)
	c.upto(Audio, hi)
	return true
}
