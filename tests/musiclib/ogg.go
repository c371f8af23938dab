package musiclib

import (
	"encoding/base64"
	"errors"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
)

// oggFile gives an encoded Ogg stream a comment of its own, with the picture
// as text, and a serial number. Its pages of sound keep their bodies.
func oggFile(r *rand.Rand, t *track) ([][]byte, error) {
	pages, err := oggPages(t.sound.data)
	if err != nil {
		return nil, err
	}
	var extra []string
	if len(t.art.jpeg) > 0 {
		extra = append(extra, "METADATA_BLOCK_PICTURE="+base64.StdEncoding.EncodeToString(pictureBlock(t.art)))
	}
	headers := 3 // Vorbis: identification, comment, codebooks
	body := append([]byte("\x03vorbis"), vorbisComment("Xiph.Org libVorbis I 20150105", t.tag, extra...)...)
	body = append(body, 1) // framing bit
	if t.kind == Opus {
		headers = 2
		body = append([]byte("OpusTags"), vorbisComment("libopus 1.2.1", t.tag, extra...)...)
		body = append(body, make([]byte, []int{0, 512}[r.IntN(2)])...)
	}
	packets, sound := headerPackets(pages, headers)
	if len(packets) != headers {
		return nil, errors.New("musiclib: the cached Ogg file has no sound")
	}
	packets[1] = body
	serial, seq := r.Uint32(), uint32(1)
	first := pages[0]
	first.seal(serial, 0)
	out := [][]byte{first}
	for _, p := range paginate(packets[1:]) {
		p.seal(serial, seq)
		out = append(out, p)
		seq++
	}
	for _, p := range sound {
		p.seal(serial, seq)
		out = append(out, p)
		seq++
	}
	return out, nil
}

// oggPage is one page (RFC 3533, 6): 27 bytes, the lacing values, the body.
type oggPage []byte

func (p oggPage) lacing() []byte { return p[27 : 27+int(p[26])] }
func (p oggPage) body() []byte   { return p[27+int(p[26]):] }

// seal sets serial and sequence number and the checksum over all.
func (p oggPage) seal(serial, seq uint32) {
	le.PutUint32(p[14:], serial)
	le.PutUint32(p[18:], seq)
	le.PutUint32(p[22:], 0)
	le.PutUint32(p[22:], oggSum(p))
}

// oggPages cuts a file, of which it makes a copy, into pages.
func oggPages(file []byte) ([]oggPage, error) {
	b := append([]byte(nil), file...)
	var pages []oggPage
	for len(b) >= 27 && string(b[:4]) == "OggS" && len(b) >= 27+int(b[26]) {
		n := 27 + int(b[26])
		for _, l := range b[27:n] {
			n += int(l)
		}
		if n > len(b) {
			break
		}
		pages = append(pages, b[:n:n])
		b = b[n:]
	}
	if len(b) > 0 || len(pages) == 0 {
		return nil, errors.New("musiclib: the cached Ogg file is damaged")
	}
	return pages, nil
}

// headerPackets joins the first n packets and returns the pages behind them;
// sound begins on a fresh page in Vorbis and Opus alike.
func headerPackets(pages []oggPage, n int) (packets [][]byte, rest []oggPage) {
	var packet []byte
	for i, p := range pages {
		body := p.body()
		for _, l := range p.lacing() {
			packet = append(packet, body[:l]...)
			body = body[l:]
			if l < 255 {
				packets = append(packets, packet)
				packet = nil
			}
		}
		if len(packets) >= n {
			return packets, pages[i+1:]
		}
	}
	return packets, nil
}

// paginate lays packets into full pages of granule position 0, or -1 where
// none ends. The pages still need a seal.
func paginate(packets [][]byte) []oggPage {
	var lacing, data []byte
	for _, p := range packets {
		for range len(p) / 255 {
			lacing = append(lacing, 255)
		}
		lacing = append(lacing, byte(len(p)%255))
		data = append(data, p...)
	}
	var pages []oggPage
	continued := byte(0)
	for len(lacing) > 0 {
		n := min(len(lacing), 255)
		size, ends := 0, false
		for _, l := range lacing[:n] {
			size += int(l)
			ends = ends || l < 255
		}
		p := make(oggPage, 27, 27+n+size)
		copy(p, "OggS")
		p[5] = continued
		if !ends {
			le.PutUint64(p[6:], ^uint64(0))
		}
		p[26] = byte(n)
		p = append(append(p, lacing[:n]...), data[:size]...)
		pages = append(pages, p)
		continued = 0
		if lacing[n-1] == 255 {
			continued = 1
		}
		lacing, data = lacing[n:], data[size:]
	}
	return pages
}

// oggSum is Ogg's CRC-32: IEEE's polynomial, but bits in the other order and
// neither start nor end inverted. hash/crc32 computes it on mirrored bytes.
func oggSum(b []byte) uint32 {
	mirrored := make([]byte, len(b))
	for i, c := range b {
		mirrored[i] = bits.Reverse8(c)
	}
	// Update inverts what it is given and what it returns.
	return bits.Reverse32(^crc32.Update(^uint32(0), crc32.IEEETable, mirrored))
}
