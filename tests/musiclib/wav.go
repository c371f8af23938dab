package musiclib

import "bytes"

// wavFile is RIFF with a LIST of INFO before the sound and an ID3 tag, with
// the cover, behind it: players differ in which of them they read.
func wavFile(t *track) ([][]byte, error) {
	var pcm bytes.Buffer
	pcm.Grow(t.sound.size)
	if err := noise(&pcm, t.sound.seed, t.sound.secs); err != nil {
		return nil, err
	}
	chunk := func(name string, parts ...[]byte) []byte {
		body := bytes.Join(parts, nil)
		b := append(le.AppendUint32([]byte(name), uint32(len(body))), body...)
		if len(body)%2 == 1 {
			b = append(b, 0)
		}
		return b
	}
	text := func(name, s string) []byte { return chunk(name, []byte(s), []byte{0}) }
	list := chunk("LIST", []byte("INFO"), text("INAM", t.Title), text("IART", t.Artist), text("IPRD", t.Album))

	const pcmFormat, channels, depth = 1, 2, 16
	var format []byte
	for _, v := range []uint16{pcmFormat, channels, rate, 0, rate * 4 & 0xFFFF, rate * 4 >> 16, channels * depth / 8, depth} {
		format = le.AppendUint16(format, v)
	}
	return [][]byte{chunk("RIFF", []byte("WAVE"), chunk("fmt ", format), list,
		chunk("data", pcm.Bytes()), chunk("id3 ", id3v23(t.tag, t.art, 0)))}, nil
}
