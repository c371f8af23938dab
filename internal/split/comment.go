package split

import (
	"encoding/binary"
	"strings"
)

const maxComments = 1 << 14

// pictureFields are the comments whose value is a picture in base64: a PICTURE
// block (RFC 9639 §8.6), and the bare image of older programs.
var pictureFields = []string{"METADATA_BLOCK_PICTURE=", "COVERART="}

// comments finds the pictures in a Vorbis comment (Vorbis I §5.2.1): a vendor,
// a count, and that many fields, each behind its length.
func (c *cutter) comments(p *cursor) {
	vendor, ok := p.number(binary.LittleEndian)
	if !ok || !p.skip(vendor) {
		return
	}
	count, ok := p.number(binary.LittleEndian)
	if !ok {
		return
	}
	for range min(count, maxComments) {
		size, ok := p.number(binary.LittleEndian)
		if !ok || size > p.left || !c.comment(p, size) {
			return
		}
	}
}

// comment reads one field of size bytes.
func (c *cutter) comment(p *cursor, size int64) bool {
	value := *p
	name := p.bytes(int(min(size, int64(len(pictureFields[0])))))
	for _, field := range pictureFields {
		if n := len(field); len(name) >= n && strings.EqualFold(string(name[:n]), field) {
			value.skip(int64(n))
			c.picture(value.take(size - int64(n)))
		}
	}
	return p.skip(size - int64(len(name)))
}

// flacPicture finds the image in a PICTURE block (RFC 9639 §8.8): behind kind,
// media type, description, four numbers and its length.
func (c *cutter) flacPicture(p *cursor) {
	if !p.skip(4) {
		return
	}
	for range 2 {
		n, ok := p.number(binary.BigEndian)
		if !ok || !p.skip(n) {
			return
		}
	}
	if !p.skip(16) {
		return
	}
	if n, ok := p.number(binary.BigEndian); ok {
		c.picture(p.take(min(n, p.left)))
	}
}
