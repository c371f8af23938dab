package musiclib

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

// cacheVersion changes when the encoded streams do.
const cacheVersion = "1"

const rate = 44100 // samples a second, two channels of 16 bits

// cache keeps encoded streams. Many processes may share its directory: files
// are complete from the moment they have their name.
type cache struct{ dir string }

// get returns the cached file name, made by feeding secs of noise to a command
// that writes the file named by its last argument.
func (c *cache) get(ctx context.Context, name string, seed uint64, secs int, args ...string) ([]byte, error) {
	file := filepath.Join(c.dir, name)
	if b, err := os.ReadFile(file); err == nil {
		return b, nil
	}
	tmp, err := os.MkdirTemp(c.dir, "making-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, name)
	cmd := exec.CommandContext(ctx, args[0], append(args[1:], out)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	feedErr := noise(in, seed, secs)
	in.Close()
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("musiclib: %s for %s: %w: %s", args[0], name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	if feedErr != nil {
		return nil, feedErr
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return b, os.Rename(out, file)
}

// noise writes secs of little-endian 16-bit stereo: noise over the full band
// in both channels, so that an encoder needs its bits and its frames do not
// compress, with a slowly moving loudness.
func noise(w io.Writer, seed uint64, secs int) error {
	b := bufio.NewWriterSize(w, 64<<10)
	r := rand.NewPCG(seed, uint64(secs))
	var low [2]int32
	loud, step := int32(256), int32(1)
	for i := range secs * rate {
		if i%64 == 0 {
			if loud += step; loud > 480 || loud < 160 {
				step = -step
			}
		}
		u := r.Uint64()
		for ch := range low {
			white := int32(int16(u>>(16*ch))) / 16
			low[ch] += (int32(int16(u>>(32+16*ch)))/2 - low[ch]) / 16
			s := (white + low[ch]) * loud / 512
			b.WriteByte(byte(s))
			b.WriteByte(byte(s >> 8))
		}
	}
	return b.Flush()
}

// frameStream is an encoded stream whose frames decode in any order.
type frameStream struct {
	frames [][]byte
	mean   float64 // bytes a frame
}

func newFrameStream(frames [][]byte) (frameStream, error) {
	n := 0
	for _, f := range frames {
		n += len(f)
	}
	if len(frames) < 100 {
		return frameStream{}, fmt.Errorf("musiclib: a cached stream is not what an encoder writes: %d frames", len(frames))
	}
	return frameStream{frames, float64(n) / float64(len(frames))}, nil
}

// bitRate is that of the MP3 and M4A tracks, in bits a second.
const bitRate = 256000

// baseSeconds is the length of a base stream for tracks up to so many bytes.
// There are few lengths so that libraries share the cache.
func baseSeconds(largest float64) int {
	secs := largest * 8 / bitRate
	for _, s := range []int{60, 180} {
		if secs < float64(s) {
			return s
		}
	}
	return 720
}

var rawInput = []string{"ffmpeg", "-v", "error", "-y", "-f", "s16le", "-ar", "44100", "-ac", "2", "-i", "-",
	"-fflags", "+bitexact", "-flags:a", "+bitexact"}

func ffmpeg(args ...string) []string { return append(rawInput[:len(rawInput):len(rawInput)], args...) }

// mp3 is a constant 256 kbit/s stream without a bit reservoir: no frame needs
// another one's bits.
func (c *cache) mp3(ctx context.Context, secs int) (frameStream, error) {
	b, err := c.get(ctx, fmt.Sprintf("base-%d.mp3", secs), 7, secs, "lame", "--silent", "-r", "-s", "44.1",
		"--cbr", "-b", "256", "-q", "7", "--nores", "-t", "-")
	if err != nil {
		return frameStream{}, err
	}
	var frames [][]byte
	for len(b) >= 4 && b[0] == 0xFF {
		n := 144*bitRate/rate + int(b[2]>>1&1) // the padding bit
		if n > len(b) {
			break
		}
		frames = append(frames, b[:n])
		b = b[n:]
	}
	return newFrameStream(frames)
}

// aac is a stream of raw AAC-LC frames, taken out of ADTS.
func (c *cache) aac(ctx context.Context, secs int) (frameStream, error) {
	b, err := c.get(ctx, fmt.Sprintf("base-%d.aac", secs), 8, secs, ffmpeg("-c:a", "aac", "-b:a", "256k", "-f", "adts")...)
	if err != nil {
		return frameStream{}, err
	}
	var frames [][]byte
	for len(b) >= 7 && b[0] == 0xFF {
		head, n := 7, int(b[3]&3)<<11|int(b[4])<<3|int(b[5])>>5
		if b[1]&1 == 0 { // protection_absent unset: a checksum follows
			head = 9
		}
		if n > len(b) || n < head {
			break
		}
		frames = append(frames, b[head:n])
		b = b[n:]
	}
	return newFrameStream(frames)
}

// stream is the sound of a track of the other kinds, encoded for it alone.
type stream struct {
	kind Kind
	seed uint64
	secs int
	data []byte // the encoder's file, without tags; nil for WAV
	size int    // bytes of sound
}

// bytesPerSecond is about what the encoders make of noise.
var bytesPerSecond = map[Kind]float64{FLAC: 116e3, Ogg: 24e3, Opus: 20e3, WAV: 4 * rate}

// streamOf plans a stream of about so many bytes; lossless ones are larger, as
// they are in a library.
func streamOf(kind Kind, seed uint64, id int, bytes float64) stream {
	if kind == FLAC || kind == WAV {
		bytes *= 1.6
	}
	secs := min(max(int(bytes/bytesPerSecond[kind]), 1), 600)
	return stream{kind: kind, seed: seed<<20 + uint64(id), secs: secs}
}

func (c *cache) encode(ctx context.Context, s *stream) (err error) {
	var args []string
	switch s.kind {
	case WAV: // is the noise itself
		s.size = s.secs * rate * 4
		return nil
	case FLAC:
		args = ffmpeg("-c:a", "flac", "-compression_level", "3", "-f", "flac")
	case Ogg:
		args = ffmpeg("-c:a", "libvorbis", "-q:a", "6", "-f", "ogg")
	case Opus:
		args = ffmpeg("-ar", "48000", "-c:a", "libopus", "-b:a", "160k", "-f", "opus")
	}
	name := fmt.Sprintf("sound-%d-%d.%s", s.seed, s.secs, s.kind)
	s.data, err = c.get(ctx, name, s.seed, s.secs, args...)
	s.size = len(s.data)
	return err
}
