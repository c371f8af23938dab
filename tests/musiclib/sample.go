package musiclib

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
)

// Sample is one file in a container that libraries seldom have, hence none that
// Make makes.
type Sample struct {
	Name string // with its extension
	Tool string // its encoder; empty if it is made by hand, with noise for sound
	make func(ctx context.Context, src, dst string) error
}

// Make makes the file dst out of the WAV file src.
func (s Sample) Make(ctx context.Context, src, dst string) error { return s.make(ctx, src, dst) }

// Samples are made by real encoders where Debian has one.
func Samples() []Sample {
	pictures := []string{"-f", "lavfi", "-i", "testsrc=s=128x96:r=10:d=8"}
	return []Sample{
		coded("wma2.wma", nil, "-c:a", "wmav2", "-b:a", "128k"),
		coded("flac.mka", nil, "-c:a", "flac"),
		coded("live.mka", nil, "-c:a", "libvorbis", "-live", "1"), // clusters of unknown size
		by("mkvmerge.mka", "mkvmerge", "-q", "-o", "DST", "SRC"),
		coded("opus.webm", nil, "-c:a", "libopus", "-b:a", "128k"),
		coded("film.mkv", pictures, "-c:v", "mpeg4", "-c:a", "libvorbis"),
		by("wavpack.wv", "wavpack", "-q", "-y", "SRC", "-o", "DST"),
		coded("ffmpeg.wv", nil, "-c:a", "wavpack"),
		coded("ffmpeg.tta", nil, "-c:a", "tta"),
		by("sv8.mpc", "mpcenc", "--silent", "--overwrite", "SRC", "DST"),
		coded("pcm.caf", nil, "-c:a", "pcm_s16be"),
		coded("alac.caf", nil, "-c:a", "alac"),
		byHand("sv7.mpc", MusepackSV7),
		byHand("monkeys.ape", MonkeysAudio),
		byHand("frog.ofr", OptimFROG),
		byHand("stream.tak", TAK),
		byHand("dsd.dsf", DSF),
		byHand("dsd.dff", DSDIFF),
	}
}

// by has a tool encode; SRC and DST in its arguments are the files.
func by(name, tool string, args ...string) Sample {
	return Sample{name, tool, func(ctx context.Context, src, dst string) error {
		a := make([]string, len(args))
		for i, arg := range args {
			switch arg {
			case "SRC":
				arg = src
			case "DST":
				arg = dst
			}
			a[i] = arg
		}
		if out, err := exec.CommandContext(ctx, tool, a...).CombinedOutput(); err != nil {
			return fmt.Errorf("musiclib: %s for %s: %w: %s", tool, name, err, bytes.TrimSpace(out))
		}
		return nil
	}}
}

// coded has ffmpeg encode, with another input in front or none.
func coded(name string, input []string, options ...string) Sample {
	args := append([]string{"-nostdin", "-v", "error", "-y", "-threads", "1"}, input...)
	return by(name, "ffmpeg", append(append(append(args, "-i", "SRC"), options...), "DST")...)
}

// byHand has noise for sound.
func byHand(name string, build func(sound []byte) []byte) Sample {
	return Sample{name, "", func(_ context.Context, _, dst string) error {
		sound := make([]byte, 300<<10)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range sound {
			sound[i] = byte(r.Uint32())
		}
		return os.WriteFile(dst, build(sound), 0o600)
	}}
}
