package label

import (
	"bytes"
	"encoding/binary"

	"github.com/tunesafe/tunesafe/internal/split"
)

// mpeg reads MPEG or ADTS audio between its tags: sound is where split says that
// it begins.
func (f *file) mpeg(lo, sound int64) {
	b := f.some(sound, 8<<10)
	if len(b) >= 7 && b[0] == 0xFF && b[1]&0xF6 == 0xF0 {
		f.adts(b)
		return
	}
	h, ok := split.ParseMPEG(b)
	if !ok {
		return
	}
	f.l.Format = [...]string{"", "MP1", "MP2", "MP3"}[h.Layer]
	f.duration(float64(f.sound)*8, average(b))
	f.info3(lo, sound)
}

// average returns the bits in a second of the frames in b.
func average(b []byte) float64 {
	var length, seconds float64
	for {
		h, ok := split.ParseMPEG(b)
		if !ok || h.Length > len(b) {
			break
		}
		length += float64(h.Length)
		seconds += float64(h.Samples) / float64(h.Rate)
		b = b[h.Length:]
	}
	if seconds > 0 {
		return length * 8 / seconds
	}
	h, _ := split.ParseMPEG(b)
	return float64(h.Bits)
}

// info3 reads the frame of Xing or Fraunhofer before the sound, which counts the
// frames, and how much of them its encoder put around the music (LAME tag).
func (f *file) info3(lo, sound int64) {
	at := max(lo, sound-(4<<10))
	b := f.some(at, int(sound-at))
	for i := bytes.IndexByte(b, 0xFF); i >= 0 && i < len(b); {
		h, ok := split.ParseMPEG(b[i:])
		if ok && h.Layer == 3 && f.infoFrame(b[i:], h) {
			return
		}
		n := bytes.IndexByte(b[i+1:], 0xFF)
		if n < 0 {
			return
		}
		i += 1 + n
	}
}

func (f *file) infoFrame(b []byte, h split.MPEGFrame) bool {
	const vbri = 4 + 32
	if len(b) >= vbri+18 && string(b[vbri:vbri+4]) == "VBRI" {
		f.frames(binary.BigEndian.Uint32(b[vbri+14:]), 0, h)
		return true
	}
	for _, at := range []int{4 + h.Side, 6 + h.Side} { // 6: with a checksum
		if len(b) < at+8 || string(b[at:at+4]) != "Xing" && string(b[at:at+4]) != "Info" {
			continue
		}
		x := b[at:]
		flags := x[7]
		if flags&1 == 0 || len(x) < 12 {
			return true
		}
		n := 12
		for _, field := range []struct{ flag, size int }{{2, 4}, {4, 100}, {8, 4}} {
			if int(flags)&field.flag != 0 {
				n += field.size
			}
		}
		around := 0
		if len(x) >= n+24 && (string(x[n:n+4]) == "LAME" || string(x[n:n+4]) == "Lavc" || string(x[n:n+4]) == "Lavf") {
			d := x[n+21:]
			around = (int(d[0])<<4 | int(d[1])>>4) + (int(d[1])&15<<8 | int(d[2]))
			f.mark("ENCODER", string(x[n:n+9]))
		}
		f.frames(binary.BigEndian.Uint32(x[8:]), around, h)
		return true
	}
	return false
}

// frames sets the length to n frames but for some samples around the music.
func (f *file) frames(n uint32, around int, h split.MPEGFrame) {
	if n > 0 {
		f.duration(max(0, float64(n)*float64(h.Samples)-float64(around)), float64(h.Rate))
	}
}

// adtsRates are samples in a second, ISO/IEC 13818-7 §8.
var adtsRates = [...]float64{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// adts takes the frames of the probe for the whole: 1,024 samples in each block.
func (f *file) adts(b []byte) {
	f.l.Format = "AAC"
	var length, seconds float64
	for len(b) >= 7 && b[0] == 0xFF && b[1]&0xF6 == 0xF0 {
		n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
		rate := int(b[2] >> 2 & 15)
		if n < 7 || n > len(b) || rate >= len(adtsRates) {
			break
		}
		length += float64(n)
		seconds += 1024 * float64(b[6]&3+1) / adtsRates[rate]
		b = b[n:]
	}
	if length > 0 {
		f.seconds(float64(f.sound) * seconds / length)
	}
}
