package split

import "encoding/binary"

// isStream knows the formats that are one stream of blocks with no room for tags
// inside: WavPack (WavPack 5 Binary File Format, §2), Monkey's Audio, TTA (TTA1
// and TTA2 format descriptions), OptimFROG and TAK. Their taggers write APEv2 or
// ID3 around the stream and leave it alone.
func isStream(magic []byte) bool {
	half := binary.LittleEndian.Uint16
	word := binary.LittleEndian.Uint32
	switch string(magic[:4]) {
	case "wvpk": // size of the block without these eight bytes, version
		return word(magic[4:]) >= 24 && magic[9] == 4
	case "MAC ", "MACF": // version, in thousandths
		return half(magic[4:]) >= 3000 && half(magic[4:]) < 10000
	case "TTA1": // format, channels
		return half(magic[4:]) >= 1 && half(magic[4:]) <= 3 && half(magic[6:]) > 0
	case "OFR ": // size of the first header
		return word(magic[4:]) >= 12 && word(magic[4:]) < 1<<10
	case "TTA2", "tBaK":
		return true
	}
	return false
}

// cutStream takes everything between the tags as sound.
func cutStream(c *cutter, _, hi int64) bool {
	c.upto(Audio, hi)
	return true
}
