package musiclib

import (
	"errors"
	"math/rand/v2"
)

// flacFile puts metadata blocks of its own before the frames of an encoded
// stream: seek table, comment, picture, padding.
func flacFile(r *rand.Rand, t *track) ([][]byte, error) {
	const last = 0x80
	const streamInfo, padding, seekTable, comment, picture = 0, 1, 3, 4, 6
	info, frames, err := flacParts(t.sound.data)
	if err != nil {
		return nil, err
	}
	out := []byte("fLaC")
	block := func(kind byte, body []byte) {
		out = append(out, kind, byte(len(body)>>16), byte(len(body)>>8), byte(len(body)))
		out = append(out, body...)
	}
	block(streamInfo, info)
	block(seekTable, seekPoints(info, t.sound.secs))
	block(comment, vorbisComment("reference libFLAC 1.3.2 20170101", t.tag))
	if len(t.art.jpeg) > 0 {
		block(picture, pictureBlock(t.art))
	}
	block(padding|last, make([]byte, []int{0, 1024, 8192}[r.IntN(3)]))
	return [][]byte{out, frames}, nil
}

// flacParts returns a FLAC file's stream information and its frames.
func flacParts(b []byte) (info, frames []byte, err error) {
	const magic, head = 4, 4
	at := magic
	for at+head <= len(b) {
		n := int(b[at+1])<<16 | int(b[at+2])<<8 | int(b[at+3])
		kind, body := b[at], at+head
		if at = body + n; at > len(b) {
			break
		}
		if kind&0x7F == 0 {
			info = b[body:at]
		}
		if kind&0x80 != 0 {
			return info, b[at:], nil
		}
	}
	return nil, nil, errors.New("musiclib: the cached FLAC file has no frames")
}

// seekPoints is a table with the first frame and, as an encoder reserves them,
// a placeholder for every ten seconds.
func seekPoints(info []byte, secs int) []byte {
	b := make([]byte, 16, 18)
	b = append(b, info[:2]...) // samples of a block
	for range secs / 10 {
		b = be.AppendUint64(b, ^uint64(0))
		b = append(b, make([]byte, 10)...)
	}
	return b
}
