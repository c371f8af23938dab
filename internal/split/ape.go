package split

import (
	"bytes"
	"encoding/binary"
	"strings"
)

const (
	apeMagic  = "APETAGEX"
	apeHeader = 32 // bytes of header and of footer
	// apeIsHeader is the flag that tells a header from a footer.
	apeIsHeader = 1 << 29
	maxAPEItems = 4096
)

// ape returns where an APEv1 or APEv2 tag that ends at hi begins, hi if there is
// none. Its size counts items and footer; a header in front is optional.
// (APEv2 specification, "APE Tags Header and Footer".)
func (c *cutter) ape(lo, hi int64) int64 {
	if hi-apeHeader < lo {
		return hi
	}
	b := c.f.bytes(hi-apeHeader, apeHeader)
	if len(b) < apeHeader || string(b[:8]) != apeMagic {
		return hi
	}
	size := int64(binary.LittleEndian.Uint32(b[12:]))
	if binary.LittleEndian.Uint32(b[20:])&apeIsHeader != 0 || size < apeHeader || size > hi-lo {
		return hi
	}
	at := hi - size
	c.apeArt(at, hi-apeHeader)
	if at-apeHeader >= lo && c.f.has(at-apeHeader, apeMagic) {
		at -= apeHeader
	}
	return at
}

// apeArt finds the pictures among the items in [off, end): four bytes of size,
// four of flags, a name and its zero, a value. A cover's value is a file name
// and its zero, then the image.
func (c *cutter) apeArt(off, end int64) {
	for range maxAPEItems {
		b := c.f.bytes(off, int(min(maxLabel, end-off)))
		if len(b) < 9 {
			return
		}
		i := bytes.IndexByte(b[8:], 0)
		if i < 0 {
			return
		}
		value := 8 + i + 1
		next := off + int64(value) + int64(binary.LittleEndian.Uint32(b))
		if next > end {
			return
		}
		cover := len(b) > 17 && strings.EqualFold(string(b[8:17]), "Cover Art")
		if at := skipText(b, value, 0); cover && at > 0 {
			c.picture([]extent{{off + int64(at), next - off - int64(at)}})
		}
		off = next
	}
}
