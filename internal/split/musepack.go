package split

// sv7Header is what precedes the frames of a Musepack stream of version 7: its
// length, its profile, and the gains that programs write into it.
const sv7Header = 28

// isMusepack knows stream version 8 and, by the nibble behind its magic, 7.
// Those before have none.
func isMusepack(magic []byte) bool {
	return string(magic[:4]) == "MPCK" || string(magic[:3]) == "MP+" && magic[3]&15 == 7
}

// cutMusepack takes what is in the audio packets as sound, so that gains and
// chapters, which are packets of their own, may change (Musepack SV8
// specification, "Packets"). The packets' headers are index.
func cutMusepack(c *cutter, lo, hi int64) bool {
	if !c.f.has(lo, "MPCK") {
		c.upto(Tags, min(lo+sv7Header, hi))
		c.upto(Audio, hi)
		return hi > lo+sv7Header
	}
	at := lo + 4
	found := false
	for range maxSteps {
		p, ok := c.mpcPacket(at, hi)
		if !ok {
			break
		}
		if p.Kind == "AP" && p.End > p.Body {
			found = true
			c.upto(Tags, p.Off)
			c.upto(Index, p.Body)
			c.upto(Audio, p.End)
		}
		at = p.End
	}
	c.leftover(at, hi)
	return found
}

// mpcPacket reads the packet header at off: two capital letters, and a size that
// counts them and itself, seven bits a byte. It reads no byte more, as behind it
// is sound.
func (c *cutter) mpcPacket(off, hi int64) (Box, bool) {
	var size int64
	for n := 3; n < 12; n++ {
		b := c.f.bytes(off, n)
		if len(b) < n || off+int64(n) > hi || !isCapital(b[0]) || !isCapital(b[1]) {
			return Box{}, false
		}
		size = size<<7 | int64(b[n-1]&127)
		if b[n-1]&128 != 0 {
			continue
		}
		p := Box{Kind: string(b[:2]), Off: off, Body: off + int64(n)}
		p.End = off + min(size, hi-off)
		return p, p.End >= p.Body
	}
	return Box{}, false
}

func isCapital(b byte) bool { return b >= 'A' && b <= 'Z' }
