package repo

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Encoders and decoders are dear to make and safe to share: EncodeAll and
// DecodeAll keep no state between calls.
var (
	squeeze  = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedBestCompression, 8<<20) })
	better   = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedBetterCompression, 4<<20) })
	quick    = sync.OnceValue(func() *zstd.Encoder { return newEncoder(zstd.SpeedFastest, 1<<20) })
	unframe  = sync.OnceValue(func() *zstd.Decoder { return newDecoder(MaxFrame) })
	uncommit = sync.OnceValue(func() *zstd.Decoder { return newDecoder(MaxCommit) })
)

func newEncoder(level zstd.EncoderLevel, window int) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithWindowSize(window),
		zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)) // age authenticates every byte
	if err != nil {
		panic(err) // the options are constant
	}
	return e
}

func newDecoder(limit uint64) *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(limit), zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
}

// encoderFor trades time for bytes by the kind of pack: pictures and sound do
// not shrink, tags are small and labour.
func encoderFor(kind string) *zstd.Encoder {
	switch kind {
	case Art, Probe:
		return quick()
	case Data, Checkpoint:
		return better()
	}
	return squeeze()
}

// commitEncoder spends time on the small commits, which most are.
func commitEncoder(size int) *zstd.Encoder {
	if size > 4<<20 {
		return better()
	}
	return squeeze()
}

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
