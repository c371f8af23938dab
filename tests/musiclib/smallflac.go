package musiclib

import (
	"crypto/md5" //nolint:gosec // FLAC's own checksum of the sound
	"math/rand/v2"
)

// smallFLAC is a FLAC file (RFC 9639) of one frame of noise, in 16 bits and one channel, which
// is stored as it is.
func smallFLAC(r *rand.Rand, t tag, padding int) []byte {
	const samples = 1024
	pcm := make([]byte, 0, 2*samples)
	for range samples / 4 {
		pcm = le.AppendUint64(pcm, r.Uint64())
	}
	frame := []byte{0xFF, 0xF8, 0xA9, 0x08, 0} // blocks of one size, this of 1,024; 44.1 kHz; one channel, 16 bits; frame 0
	frame = append(frame, flacSum8(frame), 0x02)
	for i := 0; i < len(pcm); i += 2 {
		frame = append(frame, pcm[i+1], pcm[i])
	}
	frame = be.AppendUint16(frame, flacSum16(frame))
	info := u16(samples, samples)
	info = append(info, be32(len(frame))[1:]...)
	info = append(info, be32(len(frame))[1:]...)
	info = be.AppendUint64(info, rate<<44|15<<36|samples)
	sum := md5.Sum(pcm) //nolint:gosec // see above
	info = append(info, sum[:]...)
	out := []byte("fLaC")
	block := func(kind byte, body []byte) {
		out = append(out, kind, byte(len(body)>>16), byte(len(body)>>8), byte(len(body)))
		out = append(out, body...)
	}
	block(0, info)
	block(4, vorbisComment("reference libFLAC 1.3.2 20170101", t))
	block(0x80|1, make([]byte, padding))
	return append(out, frame...)
}

// flacSum8 is the CRC of a frame's header, flacSum16 that of a frame.
func flacSum8(b []byte) (sum byte) {
	for _, c := range b {
		sum ^= c
		for range 8 {
			high := sum&0x80 != 0
			if sum <<= 1; high {
				sum ^= 0x07
			}
		}
	}
	return sum
}

func flacSum16(b []byte) (sum uint16) {
	for _, c := range b {
		sum ^= uint16(c) << 8
		for range 8 {
			high := sum&0x8000 != 0
			if sum <<= 1; high {
				sum ^= 0x8005
			}
		}
	}
	return sum
}
