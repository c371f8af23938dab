package split

// adtsHeader is the fixed and variable header without its checksum, in bytes.
const adtsHeader = 7

// isADTS tells ADTS from MPEG audio by its layer bits (ISO/IEC 13818-7 §6.2.1).
func isADTS(magic []byte) bool { return magic[0] == 0xFF && magic[1]&0xF6 == 0xF0 }

// cutADTS takes the whole stream as sound if it begins with a chain of
// consistent headers: sync, profile, rate and channels agree.
func cutADTS(c *cutter, lo, hi int64) bool {
	var first [4]byte
	at := lo
	for i := range chain {
		b := c.f.bytes(at, adtsHeader)
		if len(b) < adtsHeader || at+adtsHeader > hi || !isADTS(b) {
			return false
		}
		id := [4]byte{b[0], b[1], b[2] &^ 2, b[3] & 0xC0} // without the private bit
		if i == 0 {
			first = id
		}
		length := int64(b[3]&3)<<11 | int64(b[4])<<3 | int64(b[5])>>5
		if id != first || b[2]>>2&15 > 12 || length < adtsHeader {
			return false
		}
		at += length
	}
	c.upto(Audio, hi)
	return true
}
