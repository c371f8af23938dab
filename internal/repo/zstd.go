package repo

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Encoders and decoders are dear to make and safe to share: EncodeAll and
// DecodeAll keep no state between calls. They are kept for good, so they are
// small: the best level gains nothing on tags and would keep 36 MB.
var (
	better   = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedBetterCompression) })
	quick    = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedFastest) })
	unframe  = sync.OnceValue(func() *zstd.Decoder { return newDecoder(MaxFrame, 2) })
	uncommit = sync.OnceValue(func() *zstd.Decoder { return newDecoder(MaxCommit, 1) })
)

func newEncoder(level zstd.EncoderLevel) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithWindowSize(1<<20),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)) // age authenticates every byte
	if err != nil {
		panic(err) // the options are constant
	}
	return e
}

// newDecoder makes one for so many calls at once. For each it keeps the text that it gave last.
func newDecoder(limit uint64, atOnce int) *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(limit), zstd.WithDecoderConcurrency(atOnce), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
}

// packFrame appends a zstd frame of plain to dst. It trades time for bytes: pictures
// and sound do not shrink, and files of any kind may not, such as archives and
// encrypted images. To find that out the better way takes ten times as long. Of what
// hardly shrinks the beginning can be read before the end is here: see growingFrame.
func packFrame(kind string, plain, dst []byte) []byte {
	switch kind {
	case Art, Probe, Data:
		p := quick().EncodeAll(plain, dst)
		shrinks := len(p)-len(dst) <= len(plain)-len(plain)/worthPacking
		switch {
		case !shrinks && len(plain) > 0:
			return rawFrame(plain, dst)
		case kind != Data || !shrinks:
			return p
		}
	}
	return better().EncodeAll(plain, dst)
}

// rawFrame appends a zstd frame that has plain as it is: magic, a single segment with
// its size in four bytes, raw blocks (RFC 8878 §3.1.1).
func rawFrame(plain, dst []byte) []byte {
	const most = 128 << 10
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd, 0xa0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(plain)))
	for len(plain) > 0 {
		n := min(len(plain), most)
		head := n<<3 | rawBlock<<1
		if n == len(plain) {
			head |= 1 // the last
		}
		dst = append(dst, byte(head), byte(head>>8), byte(head>>16))
		dst, plain = append(dst, plain[:n]...), plain[n:]
	}
	return dst
}

// worthPacking is the part of its bytes that a frame has to lose quickly to be packed
// well: a thirty-second.
const worthPacking = 32

// unpackFrame decompresses a pack's frame whose blobs are size bytes.
func unpackFrame(packed []byte, size int64) ([]byte, error) {
	if size > MaxFrame {
		return nil, fmt.Errorf("frame of %d bytes, the limit is %d", size, MaxFrame)
	}
	if err := boundFrame(packed, uint64(size)); err != nil {
		return nil, err
	}
	plain, err := unframe().DecodeAll(packed, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if int64(len(plain)) != size {
		return nil, fmt.Errorf("frame of %d bytes, its blobs are %d", len(plain), size)
	}
	return plain, nil
}

// boundFrame refuses a zstd frame that says that it is larger than limit.
func boundFrame(packed []byte, limit uint64) error {
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return fmt.Errorf("frame: %w", err)
	}
	if h.HasFCS && h.FrameContentSize > limit {
		return fmt.Errorf("frame of %d bytes, want at most %d", h.FrameContentSize, limit)
	}
	return nil
}
