package split

// MPEGFrame is what the header of a frame of MPEG audio says of the sound.
type MPEGFrame struct {
	Layer   int
	Length  int // bytes, with the header
	Rate    int // samples in a second
	Samples int // in the frame
	Bits    int // in a second
	Side    int // bytes of side information behind the header, of layer III
}

// ParseMPEG reads the frame header at the beginning of b.
func ParseMPEG(b []byte) (MPEGFrame, bool) {
	f, ok := parseMPEG(b)
	if !ok {
		return MPEGFrame{}, false
	}
	m := MPEGFrame{Layer: f.layer, Length: f.length, Samples: 1152, Side: 17}
	m.Rate = mpegSampleRates[b[2]>>2&3]
	switch b[1] >> 3 & 3 {
	case 2:
		m.Rate /= 2
	case 0:
		m.Rate /= 4
	}
	m.Bits = 1000 * mpegRates[mpegRateRow(f)][b[2]>>4]
	switch {
	case f.layer == 1:
		m.Samples = 384
	case f.layer == 3 && !f.v1:
		m.Samples = 576
	}
	switch {
	case f.v1 && !f.mono:
		m.Side = 32
	case !f.v1 && f.mono:
		m.Side = 9
	}
	return m, true
}
