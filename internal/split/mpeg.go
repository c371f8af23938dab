package split

import (
	"bytes"
	"slices"
)

const (
	// chain is how many consistent headers prove MPEG or ADTS audio. That a
	// shorter chain ends with the file proves nothing: tracker modules do that.
	chain = 4
	// maxJunk is how far from the tag's end the sound may begin.
	maxJunk = 64 << 10
	// maxFrame is the longest MPEG frame: layer II, 160 kbit/s at 8 kHz.
	maxFrame = 2881
	// maxInfo bounds how many information frames may precede the sound.
	maxInfo = 64
)

// mpegRates are kbit/s by bit rate index: MPEG-1 layers I, II, III, then MPEG-2
// layer I, layers II and III. (ISO/IEC 11172-3 §2.4.2.3, 13818-3 §2.4.2.3.)
var mpegRates = [5][15]int{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

var mpegSampleRates = [3]int{44100, 48000, 32000}

// mpegFrame is what a frame header says.
type mpegFrame struct {
	length   int     // bytes, with the header
	identity [2]byte // version, layer and sampling rate: the same in every frame
	layer    int
	v1, mono bool
}

// parseMPEG reads a frame header. The free format has no length, so it is not
// taken for a frame.
func parseMPEG(b []byte) (mpegFrame, bool) {
	if len(b) < 4 || b[0] != 0xFF || b[1]&0xE0 != 0xE0 {
		return mpegFrame{}, false
	}
	version, layer := b[1]>>3&3, 4-int(b[1]>>1&3)
	rate, sampling := int(b[2]>>4), int(b[2]>>2&3)
	emphasis := b[3] & 3
	if version == 1 || layer == 4 || rate == 0 || rate == 15 || sampling == 3 || emphasis == 2 {
		return mpegFrame{}, false
	}
	f := mpegFrame{layer: layer, v1: version == 3, mono: b[3]>>6 == 3}
	f.identity = [2]byte{b[1] & 0x1E, b[2] & 0x0C}
	hertz := mpegSampleRates[sampling]
	switch version {
	case 2:
		hertz /= 2
	case 0: // MPEG-2.5
		hertz /= 4
	}
	padding := int(b[2] >> 1 & 1)
	bits := 1000 * mpegRates[mpegRateRow(f)][rate]
	switch {
	case layer == 1:
		f.length = (12*bits/hertz + padding) * 4
	case layer == 3 && !f.v1:
		f.length = 72*bits/hertz + padding
	default:
		f.length = 144*bits/hertz + padding
	}
	return f, true
}

// mpegRateRow returns the row of mpegRates.
func mpegRateRow(f mpegFrame) int {
	switch {
	case f.v1:
		return f.layer - 1
	case f.layer == 1:
		return 3
	}
	return 4
}

// cutMPEG cuts at the first chain of frames. Junk and information frames before
// it are tags.
func cutMPEG(c *cutter, lo, hi int64) bool {
	at, ok := lo, c.isMPEGChainAt(lo, hi)
	if !ok {
		at, ok = c.mpegSync(lo, hi)
	}
	if !ok {
		return false
	}
	c.upto(Tags, c.skipInfo(at, hi))
	c.upto(Audio, hi)
	return true
}

// isMPEGChainAt reports whether consistent frames begin at off, by their headers.
func (c *cutter) isMPEGChainAt(off, hi int64) bool {
	var first mpegFrame
	for i := range chain {
		f, ok := parseMPEG(c.f.bytes(off, int(max(0, min(4, hi-off)))))
		if !ok || i > 0 && f.identity != first.identity {
			return false
		}
		if i == 0 {
			first = f
		}
		off += int64(f.length)
	}
	return true
}

// mpegSync returns where the first chain begins within maxJunk bytes from lo. It
// works on one copy, so that no file makes it read more.
func (c *cutter) mpegSync(lo, hi int64) (int64, bool) {
	n := min(int64(maxJunk+(chain-1)*maxFrame+4), hi-lo)
	b := slices.Clone(c.f.bytes(lo, int(n)))
	for i := 0; i < min(maxJunk, len(b)); i++ {
		j := bytes.IndexByte(b[i:min(maxJunk, len(b))], 0xFF)
		if j < 0 {
			break
		}
		if i += j; isMPEGChain(b[i:]) {
			return lo + int64(i), true
		}
	}
	return 0, false
}

// isMPEGChain reports whether b begins with consistent frames.
func isMPEGChain(b []byte) bool {
	var first mpegFrame
	for i := range chain {
		f, ok := parseMPEG(b)
		if !ok || i > 0 && f.identity != first.identity {
			return false
		}
		if i == 0 {
			first = f
		}
		b = b[min(f.length, len(b)):]
	}
	return true
}

// skipInfo returns where the frames end that describe the sound and hold none.
// LAME writes one, ffmpeg puts a second in front of it.
func (c *cutter) skipInfo(at, hi int64) int64 {
	for range maxInfo {
		b := c.f.bytes(at, 64)
		f, ok := parseMPEG(b)
		if !ok || !isInfo(b, f) || at+int64(f.length) > hi {
			break
		}
		at += int64(f.length)
	}
	return at
}

// isInfo reports whether the frame is Xing's, LAME's or Fraunhofer's. Xing and
// Info stand behind the side information (ISO/IEC 11172-3 §2.4.1.7), whose size
// depends on version and mode, and behind a checksum or not; VBRI at 32 always.
func isInfo(b []byte, f mpegFrame) bool {
	side := 17
	switch {
	case f.v1 && !f.mono:
		side = 32
	case !f.v1 && f.mono:
		side = 9
	}
	at := func(i int, magic string) bool { return bytes.HasPrefix(b[min(i, len(b)):], []byte(magic)) }
	for _, i := range []int{4 + side, 4 + 2 + side} {
		if at(i, "Xing") || at(i, "Info") {
			return f.layer == 3
		}
	}
	return f.layer == 3 && at(4+32, "VBRI")
}
