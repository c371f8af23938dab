package label

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// Picture takes the picture out of the base64 of a FLAC picture block, as Ogg has it
// (RFC 9639 §8.8); other bytes stay.
func Picture(b []byte) []byte {
	if len(b) < 4 || b[0] != 'A' { // the block's type has three zero bytes: "AAAA"
		return b
	}
	raw := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(raw, bytes.TrimRight(b, "\x00"))
	if err != nil {
		return b
	}
	raw = raw[:n]
	next := func() []byte { // what has its length in front
		if len(raw) < 4 || int64(binary.BigEndian.Uint32(raw)) > int64(len(raw)-4) {
			raw = nil
			return nil
		}
		size := binary.BigEndian.Uint32(raw)
		field := raw[4 : 4+size]
		raw = raw[4+size:]
		return field
	}
	raw = raw[min(4, len(raw)):]  // the type
	next()                        // the media type
	next()                        // the description
	raw = raw[min(16, len(raw)):] // width, height, depth, colours
	if picture := next(); picture != nil {
		return picture
	}
	return b
}
