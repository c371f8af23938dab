package musiclib

import "encoding/binary"

// Files by hand of the formats that no encoder in Debian writes: a header that
// readers of the format accept, and any bytes for sound. They do not decode.

func cat(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

func le32(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
func le64(n int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(n)) }
func be32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
func be64(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// field is a number of so many bits.
type field struct{ bits, value int }

// packed puts fields behind one another, the lowest bit first.
func packed(fields ...field) []byte {
	var b []byte
	n := 0
	for _, f := range fields {
		for i := range f.bits {
			if n%8 == 0 {
				b = append(b, 0)
			}
			b[n/8] |= byte(f.value>>i&1) << (n % 8)
			n++
		}
	}
	return b
}

// MonkeysAudio is Monkey's Audio 3.99 in 76 bytes of descriptor and header, a
// seek table of eight, and the sound.
func MonkeysAudio(sound []byte) []byte {
	descriptor := cat("MAC ", packed(field{16, 3990}, field{16, 0}), le32(52), le32(24), le32(8), le32(0), le32(len(sound)), make([]byte, 24))
	header := cat(packed(field{16, 2000}, field{16, 0}), le32(73728*4), le32(rate), le32(2), packed(field{16, 16}, field{16, 2}), le32(rate))
	return cat(descriptor, header, le32(84), le32(84+len(sound)/2), sound)
}

// OptimFROG is OptimFROG in 31 bytes and the sound.
func OptimFROG(sound []byte) []byte {
	return cat("OFR ", le32(15), le32(2*8*rate), []byte{0, 0, 3, 1}, le32(rate), []byte{0x10, 0x27, 2}, "COMP", le32(len(sound)), sound)
}

// TAK is TAK in 27 bytes and the sound.
func TAK(sound []byte) []byte {
	info := packed(field{6, 2}, field{4, 0}, field{4, 4}, field{35, 8 * rate}, field{3, 0}, field{18, rate - 6000}, field{5, 8}, field{4, 1}, field{1, 0})
	return cat("tBaK", "\x01\x0d\x00\x00", info, make([]byte, 3+4), "\xff\xa0", sound)
}

// MusepackSV7 is Musepack of stream version 7: 28 bytes and the sound.
func MusepackSV7(sound []byte) []byte {
	return cat("MP+\x07", le32(300), le32(0x0a<<20), make([]byte, 16), sound)
}

// DSF is a DSD Stream File: 92 bytes and the sound, in whole blocks.
func DSF(sound []byte) []byte {
	sound = sound[:len(sound)/8192*8192]
	format := cat(le32(1), le32(0), le32(2), le32(2), le32(2822400), le32(1), le64(len(sound)*4), le32(4096), make([]byte, 4))
	return cat("DSD ", le64(28), le64(28+52+12+len(sound)), make([]byte, 8), "fmt ", le64(52), format, "data", le64(12+len(sound)), sound)
}

// DSDIFF is the same in the Direct Stream Digital Interchange File Format.
func DSDIFF(sound []byte) []byte {
	chunk := func(id string, parts ...any) []byte {
		b := cat(parts...)
		return cat(id, be64(len(b)), b)
	}
	return chunk("FRM8", "DSD ", chunk("FVER", "\x01\x05\x00\x00"),
		chunk("PROP", "SND ", chunk("FS  ", be32(2822400)), chunk("CHNL", "\x00\x02SLFTSRGT"), chunk("CMPR", "DSD \x0enot compressed\x00")),
		chunk("DSD ", sound))
}
