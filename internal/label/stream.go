package label

import "encoding/binary"

// The formats here are a header and sound; their tags are around them.

// wavPackRates are samples in a second (WavPack 4 & 5 Binary File / Block
// Format, §2).
var wavPackRates = [...]float64{6000, 8000, 9600, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 192000, 0}

func (f *file) wavPack(lo int64) {
	f.l.Format = "WavPack"
	b := f.bytes(lo, 32)
	if b == nil {
		return
	}
	total := binary.LittleEndian.Uint32(b[12:])
	if total != 1<<32-1 { // not known
		f.duration(float64(uint64(b[11])<<32+uint64(total)), wavPackRates[binary.LittleEndian.Uint32(b[24:])>>23&15])
	}
}

// monkeys reads the header of Monkey's Audio as its SDK describes it, of 3.98 and
// before.
func (f *file) monkeys(lo int64) {
	f.l.Format = "Monkey's Audio"
	b := f.bytes(lo, 76)
	if b == nil {
		return
	}
	version, level := binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:])
	var perFrame, last, frames, rate uint32
	if version >= 3980 {
		perFrame, last, frames = binary.LittleEndian.Uint32(b[56:]), binary.LittleEndian.Uint32(b[60:]), binary.LittleEndian.Uint32(b[64:])
		rate = binary.LittleEndian.Uint32(b[72:])
	} else {
		rate, frames, last = binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[24:]), binary.LittleEndian.Uint32(b[28:])
		switch {
		case version >= 3950:
			perFrame = 73728 * 4
		case version >= 3900 || version >= 3800 && level == 4000:
			perFrame = 73728
		default:
			perFrame = 9216
		}
	}
	if frames > 0 {
		f.duration(float64(frames-1)*float64(perFrame)+float64(last), float64(rate))
	}
}

var musepackRates = [...]float64{44100, 48000, 37800, 32000}

// musepack7 reads the header of stream version 7.
func (f *file) musepack7(lo int64) {
	f.l.Format = "Musepack"
	if b := f.bytes(lo, 12); b != nil && b[3]&15 >= 7 {
		f.duration(float64(binary.LittleEndian.Uint32(b[4:]))*1152-576, musepackRates[b[10]&3])
	}
}

// musepack8 reads the packets of stream version 8 up to the stream's header: a
// key, a size of seven bits a byte with key and itself in it, a payload.
func (f *file) musepack8(lo int64) {
	f.l.Format = "Musepack"
	for at, n := lo+4, 0; n < 64; n++ {
		h := f.some(at, 12)
		if len(h) < 4 {
			return
		}
		size, k := musepackSize(h[2:])
		if size < uint64(2+k) || size > 1<<32 {
			return
		}
		if string(h[:2]) == "SH" {
			f.musepackHeader(f.some(at+2+int64(k), 32))
			return
		}
		at += int64(size)
	}
}

// musepackHeader reads a sum, a version, samples, silence and the rate.
func (f *file) musepackHeader(b []byte) {
	if len(b) < 12 {
		return
	}
	b = b[5:]
	samples, k := musepackSize(b)
	b = b[k:]
	silence, k := musepackSize(b)
	if b = b[k:]; len(b) > 0 && silence <= samples {
		f.duration(float64(samples-silence), append(musepackRates[:], 0, 0, 0, 0)[b[0]>>5])
	}
}

func musepackSize(b []byte) (n uint64, k int) {
	for _, c := range b[:min(9, len(b))] {
		k++
		if n = n<<7 | uint64(c&0x7F); c&0x80 == 0 {
			break
		}
	}
	return n, k
}

func (f *file) tta(lo int64) {
	f.l.Format = "TTA"
	if b := f.bytes(lo, 18); b != nil {
		f.duration(float64(binary.LittleEndian.Uint32(b[14:])), float64(binary.LittleEndian.Uint32(b[10:])))
	}
}

// tak reads the metadata blocks of TAK up to the one about the stream: in bits,
// lowest first, 6 codec, 4 profile, 4 frame size, 35 samples, 3 type, 18 rate
// less 6,000.
func (f *file) tak(lo int64) {
	f.l.Format = "TAK"
	for at, n := lo+4, 0; n < 64; n++ {
		h := f.bytes(at, 4)
		if h == nil || h[0]&0x7F == 0 {
			return
		}
		size := int64(h[1]) | int64(h[2])<<8 | int64(h[3])<<16
		if h[0]&0x7F == 1 {
			if b := f.bytes(at+4, 12); b != nil {
				low, high := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[4:])
				f.duration(float64(low>>14&(1<<35-1)), float64(high>>(52-32)&(1<<18-1)+6000))
			}
			return
		}
		at += 4 + size
	}
}

func (f *file) optimFrog(lo int64) {
	f.l.Format = "OptimFROG"
	if b := f.bytes(lo, 20); b != nil {
		samples := uint64(binary.LittleEndian.Uint16(b[12:]))<<32 | uint64(binary.LittleEndian.Uint32(b[8:]))
		f.duration(float64(samples), float64(binary.LittleEndian.Uint32(b[16:]))*float64(int(b[15])+1))
	}
}

// dsf reads the header of a DSF file, which says where its ID3 tag is (DSF File
// Format Specification §3).
func (f *file) dsf(lo int64) {
	f.l.Format = "DSD"
	b := f.bytes(lo, 80)
	if b == nil {
		return
	}
	f.duration(float64(binary.LittleEndian.Uint64(b[64:])), float64(binary.LittleEndian.Uint32(b[56:])))
	if at := binary.LittleEndian.Uint64(b[20:]); at > 0 && at < uint64(f.size) {
		f.id3(f.source, lo+int64(at))
	}
}
